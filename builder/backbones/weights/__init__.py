"""Where the weights of networks come from: packages, downloads and files."""
