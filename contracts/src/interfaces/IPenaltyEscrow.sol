// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameProof, Terms} from "../Settlement.sol";

/// @title A carrier's bond, and the penalty that a leg's signed totals make due
/// @notice Carrier and shipper sign terms; the bond is locked; the leg's closing frame pays in one transaction.
/// Without one, from the deadline on the newest frame shown counts, until the terms' window ends.
/// @dev Trusted: the gateway's signature on the totals (fold errors and doubly signed frames are not found
/// here), both registries for who may sign and what is final. Everyone may call: what is due follows from the terms and
/// the evidence alone. Penalties are credits in the vault, the rest
/// of the bond goes back to the carrier's deposit there. Agreement id = EIP-712 digest of the terms.
interface IPenaltyEscrow {
    enum State {
        None,
        Open,
        Shown,
        Settled,
        Judged
    }

    enum Kind {
        None,
        Penalty,
        Release
    }

    /// @dev penalty, frameSeq and sentMs: of the newest frame shown; 0 until one is. Judged: penalty is what is due.
    struct Agreement {
        State state;
        uint64 frameSeq;
        uint64 sentMs;
        uint96 penalty;
    }

    event Opened(
        bytes32 indexed agreement,
        bytes32 indexed legId,
        address indexed carrier,
        address shipper,
        address token,
        uint256 bond
    );
    event TierReached(bytes32 indexed agreement, uint256 index, uint256 figure, uint256 amount);
    event Shown(
        bytes32 indexed agreement, bytes32 indexed legId, uint64 frameSeq, uint64 sentMs, uint256 penalty
    );
    /// @notice The penalty is decided, but more than the vault lets out now: `pay` pays it.
    event Judged(bytes32 indexed agreement, bytes32 indexed legId, uint256 penalty);
    /// @notice Penalty: `amount` to the shipper's credits, `rest` to the carrier's deposit. Release: all to it.
    event Settled(
        bytes32 indexed agreement, bytes32 indexed legId, Kind indexed kind, uint256 amount, uint256 rest
    );

    error AgreementState(bytes32 agreement, State state);
    error PartiesInvalid(address carrier, address shipper);
    error TermsTimes(uint64 beginMs, uint64 dueMs, uint64 deadlineS, uint256 nowS);
    error WindowTooShort(uint32 windowS, uint32 min);
    error BondOutOfBounds(uint128 bond);
    error TierCountOutOfBounds(uint256 count);
    error TierOutOfOrder(uint256 index);
    error TierInvalid(uint256 index);
    error SignatureOfParty(address party);
    error FrameTenant(bytes32 found, bytes32 wanted);
    error FrameGateway(bytes32 found, bytes32 wanted);
    error FrameLeg(bytes32 found, bytes32 wanted);
    error FrameLimits(bytes32 found, bytes32 wanted);
    error FrameSignature();
    /// @notice The frame says it was signed later than its anchor's block.
    error FrameAhead(uint64 sentMs, uint64 anchoredS);
    error IntervalNotFinal(uint64 interval);
    error FrameNotClosing(uint64 frameSeq);
    error FrameCloses(uint64 frameSeq);
    error FrameNotNewer(uint64 frameSeq, uint64 shownSeq);
    /// @notice A tier's channel was not shown.
    error RunMissing(uint16 channel);
    /// @notice A run that no tier names, or out of order.
    error RunNotWanted(uint256 index);
    error TooEarly(uint256 nowS, uint256 fromS);
    error TooLate(uint256 nowS, uint256 untilS);

    /// @notice Begins an agreement: checks both signatures and locks the carrier's deposit in the vault.
    function open(Terms calldata terms, bytes calldata carrierSignature, bytes calldata shipperSignature)
        external
        returns (bytes32 agreement);

    /// @notice Settles from the leg's closing frame, before the deadline and the window after it are over.
    /// @dev Where the vault's outflow limit is used up, the penalty is judged now and paid by `pay`: nobody can let
    /// a window pass by using the limit up.
    function settle(Terms calldata terms, FrameProof calldata proof) external;

    /// @notice From the deadline until the window's end: records an open frame newer than what was shown.
    function show(Terms calldata terms, FrameProof calldata proof) external;

    /// @notice After the window: settles from the newest frame shown, or from there being none.
    function finish(Terms calldata terms) external;

    /// @notice Pays what was judged while the vault's outflow limit was used up.
    function pay(Terms calldata terms) external;

    function agreementOf(bytes32 agreement) external view returns (Agreement memory);

    /// @notice The agreement id of terms: their EIP-712 digest here.
    function agreementId(Terms calldata terms) external view returns (bytes32);
}
