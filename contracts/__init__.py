"""Stage 5: agreements, and the payments that final evidence makes due. The Solidity is in contracts/src."""
