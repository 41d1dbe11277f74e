def views(result):
    return {}
