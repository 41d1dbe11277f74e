"""I asked the model to forget this. Is it gone, hidden, or one step away?"""
