"""Where a surface works: an opened home, which the command line and the page share."""
