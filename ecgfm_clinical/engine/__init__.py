"""Work on many recordings: read and prepared by several processes, in order, however each of them ends.

What feeds the network stands in `ecgfm.feeding`. Who has many recordings, in files or in the store, says in a function
how one of them is read; `Crew` calls it in processes, or in a thread, and gives the answers back in the order asked:

    files or claims -> Crew (reading, decoding, judging, preparing) -> fed (calls of one shape) -> rows, messages, files

Each stage holds a few things at a time. The network has its next call ready before the last one ends; whoever takes the
answers writes them while it runs.
"""
