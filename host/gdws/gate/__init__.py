"""The regression gate: did a network get slower, use more energy, or get less accurate or less robust on this device?

::

    limits     what is allowed                     (pure)
    pairing    baseline and candidate as one bundle, so that they take turns
    sequential when to stop measuring, and what is shown by then (pure)
    figures    a run -> the figures that limits are about       (pure)
    timed      limits on times and energy -> a verdict and a sentence each (pure)
    facts      limits on parity, accuracy, sizes and the build -> likewise  (pure)
    evidence   whether accuracies of two bundles can be compared (pure)
    consistency  whether all runs had the same circumstances    (pure)
    coverage   what should have been seen and was not           (pure)
    session    the runs on one device, under a lease
    outputs    what CI shows

A *run* is one job on the device, with engines of its own in a process of its own; within it the networks take turns
in rounds. Runs are the independent observations: whatever differs from process to process, or from build to build of
an engine, differs from run to run. So the spread over runs, and not that over rounds, tells what can be told apart.
"""
