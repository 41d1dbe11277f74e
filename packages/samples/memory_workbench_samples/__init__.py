"""Further sample runs of Memory Workbench; `workbench runs` lists them once this is installed."""
