"""The audit log of a database: who asked for whom, when, and which people were shown.

`audit.jsonl` has one line for each event, in canonical JSON. Each line holds the hash of the line
before it and its own, so that no line can be changed, removed, added or moved without all later
ones having to be made again. `audit.head` holds number and hash of the last line, as a chain alone
does not show that its end is missing. Whoever may write the folder can make all of it again; a hash
noted elsewhere tells that too.

Ids of people can be erased from it: each stands there as `[id, salt]`, but is hashed as its
commitment, the hash of that pair, which takes the pair's place when the person is erased. Without
the salt, nobody can try which id it was.
"""
