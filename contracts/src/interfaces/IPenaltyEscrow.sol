// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameProof, Terms} from "../Settlement.sol";

/// @title A carrier's bond, and the penalties that the signed totals of a shipment's legs make due
/// @notice Carrier and shipper sign terms; the bond is locked; each leg's closing frame pays its penalty in one
/// transaction. Without one, from the leg's deadline on the newest frame shown counts, until the terms' window
/// ends. When the last leg has concluded, the rest of the bond goes back.
/// @dev Everyone may call: what is due follows from the terms and the evidence alone (ILegEvidence says what is
/// trusted). Penalties are credits in the vault, the rest of the bond goes back to the carrier's deposit there.
/// Agreement id = EIP-712 digest of the terms. A leg is named by its index in the terms.
interface IPenaltyEscrow {
    /// @dev Settled: every leg has concluded; something may still be owed. Cancelled: taken back before it was opened.
    enum State {
        None,
        Open,
        Settled,
        CancelledByCarrier,
        CancelledByShipper
    }

    /// @dev concluded: bit i for leg i. penalty: of all concluded legs, at most the bond. owed: of it, what the
    /// vault's outflow limit did not let out yet.
    struct Agreement {
        State state;
        uint16 concluded;
        uint96 penalty;
        uint96 owed;
    }

    /// @dev The newest frame shown of a leg: what its channels make due (at most the leg cap), by which tiers.
    struct Shown {
        bool isShown;
        uint64 frameSeq;
        uint48 sentMs;
        uint32 reached;
        uint96 penalty;
    }

    event Opened(
        bytes32 indexed agreement,
        address indexed carrier,
        address indexed shipper,
        address token,
        uint256 bond,
        uint256 legs
    );
    /// @notice A party took terms back that were not open yet.
    event Cancelled(bytes32 indexed agreement, address indexed party);
    event FrameShown(
        bytes32 indexed agreement,
        bytes32 indexed legId,
        uint64 frameSeq,
        uint64 sentMs,
        uint256 penalty,
        uint256 reached
    );
    /// @notice A leg's end: `penalty` to the shipper's credits, by the tiers of which `reached` has the bits.
    /// `rest` of the bond to the carrier's deposit: with the last leg only.
    event Concluded(
        bytes32 indexed agreement, bytes32 indexed legId, uint256 penalty, uint256 rest, uint256 reached
    );
    /// @notice The leg's penalty is decided, but more than the vault lets out now: `pay` pays it.
    event Owed(bytes32 indexed agreement, bytes32 indexed legId, uint256 amount);
    /// @notice Of what was owed, `amount` became the shipper's credits; `owed` is left.
    event Paid(bytes32 indexed agreement, uint256 amount, uint256 owed);

    error AgreementState(bytes32 agreement, State state);
    error CallerNotParty(address caller, address carrier, address shipper);
    error PartiesInvalid(address carrier, address shipper);
    error WindowTooShort(uint32 windowS, uint32 min);
    error BondOutOfBounds(uint128 bond);
    error LegCapOutOfBounds(uint128 legCap, uint128 bond);
    error LegCountOutOfBounds(uint256 count);
    error LegOutOfOrder(uint256 index);
    error LegUnknown(uint256 index, uint256 count);
    error LegConcluded(bytes32 agreement, uint256 index);
    error SignatureOfParty(address party);
    error FrameNotClosing(uint64 frameSeq);
    error FrameCloses(uint64 frameSeq);
    error FrameNotNewer(uint64 frameSeq, uint64 shownSeq);
    error NothingOwed(bytes32 agreement);
    error OutflowUsedUp(bytes32 agreement, uint256 owed);
    error TooEarly(uint256 nowS, uint256 fromS);
    error TooLate(uint256 nowS, uint256 untilS);

    /// @notice Begins an agreement: checks both signatures and locks the carrier's deposit in the vault.
    function open(Terms calldata terms, bytes calldata carrierSignature, bytes calldata shipperSignature)
        external
        returns (bytes32 agreement);

    /// @notice Takes back terms that are not open: `open` refuses them from then on, whoever has signed. By a party alone.
    /// @dev Until then a signature stands: whoever signed first lets the other choose.
    function cancel(Terms calldata terms) external;

    /// @notice Concludes a leg from its closing frame, before its deadline and the window after it are over.
    /// @dev Where the vault's outflow limit is used up, the penalty is decided now and paid by `pay`: nobody can let
    /// a window pass by using the limit up.
    function settle(Terms calldata terms, uint256 leg, FrameProof calldata proof) external;

    /// @notice From the leg's deadline until the window's end: records an open frame newer than what was shown.
    function show(Terms calldata terms, uint256 leg, FrameProof calldata proof) external;

    /// @notice After the window: concludes a leg from the newest frame shown, or from there being none.
    function finish(Terms calldata terms, uint256 leg) external;

    /// @notice Pays what is owed, as far as the vault's outflow limit lets it out now.
    function pay(Terms calldata terms) external;

    function agreementOf(bytes32 agreement) external view returns (Agreement memory);

    /// @notice The newest frame shown of a leg.
    function shownOf(bytes32 agreement, uint256 leg) external view returns (Shown memory);

    /// @notice The agreement id of terms: their EIP-712 digest here.
    function agreementId(Terms calldata terms) external view returns (bytes32);
}
