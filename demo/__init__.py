"""The whole path in one process, on embedded parts: what `lading demo` runs. Nothing imports it.

cli.py        options, the report, the document       rig.py        broker, chain, stages, the clock
run.py        the simulated story                      member.py     a gateway with its outbox and link
replaying.py  recorded data                            chainside.py  contracts, accounts, agreements
story.py      who drives when, and what goes wrong     operator.py   leg orders
closing.py    evidence, document, report               outcome.py    what the log says in the end
    warm.py       compiles the kernels beforehand
"""
