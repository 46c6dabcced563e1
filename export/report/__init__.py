"""report.html: what a build knows, how well, and where it errs, on one page.

The modules of `statistics` measure, independently of how it is shown. A `Study` holds a build. The
modules of `sections` turn measurements into `blocks`, and `page` turns those into HTML. Sections
that other commands add to a page are in `extra_sections`.
"""
