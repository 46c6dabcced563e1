"""report.html: what a build knows, how well, and where it errs, in one page.

`study` holds what is measured on, the modules beside it measure and say it as `blocks`, and `page`
makes the HTML.
"""
