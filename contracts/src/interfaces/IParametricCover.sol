// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Policy} from "../Insurance.sol";
import {FrameProof} from "../Settlement.sol";
import {ICoverPools} from "./ICoverPools.sol";

/// @title Cover over a leg, sold by a pool's manager, paid by the leg's signed totals
/// @notice The manager signs a policy, its holder buys it before the leg begins; the leg's closing frame ends it in one
/// transaction. Without one, from the deadline on the newest frame shown counts, until the policy's window ends.
/// @dev Trusted: as by the escrow, the gateway's signature on the totals and both registries. Everyone may end a cover: what
/// is due follows from policy and evidence alone. Payouts are credits in the vault. Cover id = EIP-712 digest of the policy.
interface IParametricCover {
    /// @dev Settled: the cover has ended; something may still be owed.
    enum State {
        None,
        Open,
        Settled,
        Cancelled
    }

    /// @dev Of the newest frame shown: isShown to reached, and in `amount` what its channels make due, before the
    /// deductible. Once settled, `amount` is what the vault's outflow limit did not let out yet.
    struct Cover {
        State state;
        bool isShown;
        uint64 frameSeq;
        uint48 sentMs;
        uint32 reached;
        uint96 amount;
    }

    event Bought(
        bytes32 indexed cover,
        bytes32 indexed legId,
        bytes32 indexed pool,
        address holder,
        uint256 maximum,
        uint256 premium
    );
    event Cancelled(bytes32 indexed cover, bytes32 indexed legId, bytes32 indexed pool);
    event FrameShown(
        bytes32 indexed cover,
        bytes32 indexed legId,
        uint64 frameSeq,
        uint64 sentMs,
        uint256 due,
        uint256 reached
    );
    /// @notice The cover's end: `payout` to the holder's credits, by the tiers of which `reached` has the bits. `rest` of
    /// the maximum is free in the pool again, and the premium is earned.
    event Concluded(
        bytes32 indexed cover, bytes32 indexed legId, uint256 payout, uint256 rest, uint256 reached
    );
    /// @notice The payout is decided, but more than the vault lets out now: `pay` pays it.
    event Owed(bytes32 indexed cover, bytes32 indexed legId, uint256 amount);
    /// @notice Of what was owed, `amount` became the holder's credits; `owed` is left.
    event Paid(bytes32 indexed cover, uint256 amount, uint256 owed);

    error CoverState(bytes32 cover, State state);
    error CallerNotAllowed(address caller, address wanted);
    error QuoteExpired(uint256 nowS, uint64 quoteUntilS);
    /// @notice The cover would start before the waiting time is over, or the leg would begin before the cover.
    error StartTooEarly(uint64 startS, uint256 minS, uint64 legBeginMs);
    /// @notice The capital would be locked for longer than the pool's terms allow.
    error SpanTooLong(uint256 endS, uint256 maxS);
    /// @notice More than an amount can hold together with the maximum.
    error DeductibleTooLarge(uint96 deductible, uint96 max);
    error WindowTooShort(uint32 windowS, uint32 min);
    /// @notice The leg's gateway is another tenant's. One that is unknown or not valid, the registry refuses itself.
    error GatewayTenant(bytes32 found, bytes32 wanted);
    error SignatureOfManager(address manager);
    error FrameNotClosing(uint64 frameSeq);
    error FrameCloses(uint64 frameSeq);
    error FrameNotNewer(uint64 frameSeq, uint64 shownSeq);
    error NothingOwed(bytes32 cover);
    error OutflowUsedUp(bytes32 cover, uint256 owed);
    error TooEarly(uint256 nowS, uint256 fromS);
    error TooLate(uint256 nowS, uint256 untilS);

    /// @notice Buys the cover: takes the premium from what the caller, the holder, deposited in the vault for the
    /// pools, and locks the pool's capital.
    /// @dev The gateway registry must vouch for the leg's gateway, from begin to deadline, when it is bought. Warning:
    /// a revocation afterwards makes the gateway's frames from then on count for nothing, which is silence.
    function buy(Policy calldata policy, bytes calldata managerSignature) external returns (bytes32 cover);

    /// @notice Takes back a policy that was signed and not yet bought. Manager only.
    function cancel(Policy calldata policy) external;

    /// @notice Ends the cover from the leg's closing frame, before the deadline and the window after it are over.
    /// @dev Where the vault's outflow limit is used up, the payout is decided now and paid by `pay`.
    function settle(Policy calldata policy, FrameProof calldata proof) external;

    /// @notice From the deadline until the window's end: records an open frame newer than what was shown.
    function show(Policy calldata policy, FrameProof calldata proof) external;

    /// @notice After the window: ends the cover from the newest frame shown, or from there being none.
    function finish(Policy calldata policy) external;

    /// @notice Pays what is owed, as far as the vault's outflow limit lets it out now.
    function pay(Policy calldata policy) external;

    /// @notice Where the capital is booked.
    function pools() external view returns (ICoverPools);

    function coverOf(bytes32 cover) external view returns (Cover memory);

    /// @notice The cover id of a policy: its EIP-712 digest here.
    function coverId(Policy calldata policy) external view returns (bytes32);
}
