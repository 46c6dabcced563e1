"""report.html: one page about a build, its accuracy and its mistakes.

The modules of `statistics` measure, independently of the page. A `Study` holds a build. The
modules of `sections` turn measurements into `blocks`, and `page` turns those into HTML. Sections
that other commands add to a page are in `extra_sections`.
"""
