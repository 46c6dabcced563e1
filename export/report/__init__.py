"""report.html: what a build knows, how well, and where it errs, in one page.

The modules of `statistics` measure, and know nothing of how it is shown. A `Study` holds a build.
The modules of `sections` have it measured and say it as `blocks`, and `page` makes the HTML. What
other commands add to a page is in `extra_sections`.
"""
