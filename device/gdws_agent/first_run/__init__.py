"""The first run on a board: checks in order, what each found, and what to do about those that fail.

``gdws-agent first-run`` writes one JSON document and one page of HTML, from which others can judge whether what
this machine measures can be trusted. See docs/first-run.md.
"""
