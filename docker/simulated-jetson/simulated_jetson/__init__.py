"""A simulated Jetson AGX Xavier: the real service of jetson-stats on a tree of simulated sysfs files.

It exists to test the power, clock and temperature code of the agent where there is no Jetson.
Nothing in it measures anything, and everything that it serves says so: the board is called
"Simulated", and so is every result that an agent makes beside it.

    board      what the simulated board is: rails, clocks, power modes, hardware record
    tree       the sysfs files, written atomically
    traces     power over time, as functions of time and load
    thermal    temperature from power
    driver     plays a trace into the tree and logs what it wrote and when
    commands   stand-ins for ``nvpmodel`` and ``jetson_clocks`` that act on the tree
    service    jetson-stats' own JtopServer, pointed at the tree
"""
