"""Code for apps that use the files of a build."""
