"""What every command returns. Only 0 and 1 are answers; all else says why there is none.

=====  ==============================================================================================
0      done; of ``gdws gate``: PASS
1      measured, and the answer is no: FAIL of a gate, a cell that failed or did not pass parity
2      bad input or usage; of ``gdws gate`` also INCONCLUSIVE
3      the device or its agent could not serve
70     an unforeseen error, of this program or of its environment: ``EX_SOFTWARE`` of ``sysexits.h``
130    interrupted, as shells say it of SIGINT
=====  ==============================================================================================

``gdws lease run`` returns what the command that it runs returns.
"""

from __future__ import annotations

DONE = 0
NEGATIVE = 1
BAD_INPUT = 2
UNAVAILABLE = 3
UNFORESEEN = 70
INTERRUPTED = 130
