"""Agreement on successive blocks: Simplex with result-certified finality, as a deterministic core without I/O.

core           the state machine: one input in, effects out, in order
inputs         everything that can happen to it
effects        everything it can ask for
early          messages of the next epoch, for a moment
messages       what nodes say to each other
records        what must be durable before it is visible
view_state     votes, certificates and proposals of one view; what is known of one block
epoch_state    the views and blocks above the final one, and the questions the rules ask of them
judgement      whether a proposal may be notarised (R3)
vote_tally     counting and lazily verifying votes, finding conflicting pairs
signing        the guard: which votes one validator may sign
timeouts       how long a view may take
"""
