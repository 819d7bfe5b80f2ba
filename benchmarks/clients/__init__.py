"""One program for each way to hold many MQTT connections; `benchmarks.connections` drives them.

Each reads commands, a word a line, from standard input and answers each with a line of JSON:

    (start)   {"ready": true}                          everything imported, nothing connected
    connect   {"connected": n, "seconds": s}           when all are, or when time is up
    publish   {"acknowledged": n, "seconds": s}        one event in flight for each publisher
    (end of standard input)                            disconnects and ends

The argument is a file with the task: see `benchmarks.task`. Only `latchline` imports this project;
the others run in an interpreter of their own, with nothing but their library.
"""
