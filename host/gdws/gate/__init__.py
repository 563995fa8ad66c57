"""The regression gate: did a network get slower, use more energy, or get less accurate or less robust on this device?

::

    limits     the limits                                  (pure)
    pairing    baseline and candidate as one bundle, to be measured in turns
    sequential when to stop measuring, and the finding     (pure)
    figures    a run -> the figures that limits apply to   (pure)
    timed      limits on times and energy -> a verdict and a sentence each (pure)
    facts      limits on parity, accuracy, sizes and the build -> likewise (pure)
    evidence   whether accuracies of two bundles can be compared (pure)
    consistency  whether all runs had the same conditions  (pure)
    coverage   whether everything was measured             (pure)
    session    the runs on one device, under a lease
    outputs    files and annotations for CI

A *run* is one job on the device, with its own engines in its own process; within it the networks are measured in turns,
in rounds. Runs are the independent observations: whatever differs between processes, or between builds of an engine,
differs between runs. So the spread over runs, not over rounds, determines which differences can be detected.
"""
