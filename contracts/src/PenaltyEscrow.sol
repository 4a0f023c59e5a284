// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {FrameCodec} from "./FrameCodec.sol";
import {LegEvidence} from "./LegEvidence.sol";
import {Metrics} from "./Metrics.sol";
import {FrameProof, Leg, Terms} from "./Settlement.sol";
import {TermsCodec} from "./TermsCodec.sol";
import {IAnchorRegistry} from "./interfaces/IAnchorRegistry.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IGatewayRegistry} from "./interfaces/IGatewayRegistry.sol";
import {IPenaltyEscrow} from "./interfaces/IPenaltyEscrow.sol";

/// @title PenaltyEscrow: what it promises is written at its interface, IPenaltyEscrow
contract PenaltyEscrow is IPenaltyEscrow, LegEvidence, EIP712 {
    uint256 public constant LEGS_MAX = 16;

    ICreditVault public immutable vault;
    /// @notice The least window of terms: a frame anchored by the deadline is final before it ends, contested or not.
    uint32 public immutable windowMinS;
    mapping(bytes32 id => Agreement agreement) private _agreements;
    mapping(bytes32 id => mapping(uint256 leg => Shown shown)) private _shown;

    constructor(IGatewayRegistry gateways_, IAnchorRegistry anchors_, ICreditVault vault_)
        EIP712("Lading PenaltyEscrow", "2")
        LegEvidence(gateways_, anchors_)
    {
        vault = vault_;
        windowMinS = 2 * anchors_.windowS();
    }

    /// @inheritdoc IPenaltyEscrow
    function open(Terms calldata terms, bytes calldata carrierSignature, bytes calldata shipperSignature)
        external
        returns (bytes32 id)
    {
        _checkTerms(terms);
        id = agreementId(terms);
        Agreement storage agreement = _agreements[id];
        require(agreement.state == State.None, AgreementState(id, agreement.state));
        _checkSignature(terms.carrier, id, carrierSignature);
        _checkSignature(terms.shipper, id, shipperSignature);
        agreement.state = State.Open;
        emit Opened(id, terms.carrier, terms.shipper, terms.token, terms.bond, terms.legs.length);
        vault.lock(terms.token, terms.carrier, terms.bond);
    }

    /// @inheritdoc IPenaltyEscrow
    function cancel(Terms calldata terms) external {
        bytes32 id = agreementId(terms);
        bool isCarrier = msg.sender == terms.carrier;
        require(
            isCarrier || msg.sender == terms.shipper, CallerNotParty(msg.sender, terms.carrier, terms.shipper)
        );
        Agreement storage agreement = _agreements[id];
        require(agreement.state == State.None, AgreementState(id, agreement.state));
        agreement.state = isCarrier ? State.CancelledByCarrier : State.CancelledByShipper;
        emit Cancelled(id, msg.sender);
    }

    /// @inheritdoc IPenaltyEscrow
    function settle(Terms calldata terms, uint256 index, FrameProof calldata proof) external {
        (bytes32 id, Leg calldata leg) = _legOf(terms, index);
        Agreement memory agreement = _agreements[id];
        _checkLive(id, agreement, index);
        uint256 endS = _endS(terms, leg);
        require(block.timestamp < endS, TooLate(block.timestamp, endS));
        FrameCodec.Header memory header = _checkFrame(terms.tenant, leg, proof);
        require(header.legState == FrameCodec.CLOSED, FrameNotClosing(header.frameSeq));
        Sight memory sight = _sightOf(leg, header, terms.uncertaintyMaxMilli);
        Due memory due = _dueOfChannels(terms.tiers, proof.runs, header, sight);
        _addLeg(due, terms.tiers, Metrics.positive(header.sentMs, leg.dueMs), 0);
        _conclude(id, agreement, terms, index, due);
    }

    /// @inheritdoc IPenaltyEscrow
    function show(Terms calldata terms, uint256 index, FrameProof calldata proof) external {
        (bytes32 id, Leg calldata leg) = _legOf(terms, index);
        _checkLive(id, _agreements[id], index);
        uint256 endS = _endS(terms, leg);
        require(block.timestamp >= leg.deadlineS, TooEarly(block.timestamp, leg.deadlineS));
        require(block.timestamp < endS, TooLate(block.timestamp, endS));
        FrameCodec.Header memory header = _checkFrame(terms.tenant, leg, proof);
        require(header.legState == FrameCodec.OPEN, FrameCloses(header.frameSeq));
        Shown storage shown = _shown[id][index];
        require(
            !shown.isShown || header.frameSeq > shown.frameSeq, FrameNotNewer(header.frameSeq, shown.frameSeq)
        );
        Sight memory sight = _sightOf(leg, header, terms.uncertaintyMaxMilli);
        Due memory due = _dueOfChannels(terms.tiers, proof.runs, header, sight);
        // At most the leg cap, which is at most the bond, so it fits; times fit 48 bits, tiers 32.
        uint256 penalty = _least(due.amount, terms.legCap);
        _shown[id][index] =
            Shown(true, header.frameSeq, uint48(header.sentMs), uint32(due.reached), uint96(penalty));
        emit FrameShown(id, leg.legId, header.frameSeq, header.sentMs, penalty, due.reached);
    }

    /// @inheritdoc IPenaltyEscrow
    function finish(Terms calldata terms, uint256 index) external {
        (bytes32 id, Leg calldata leg) = _legOf(terms, index);
        Agreement memory agreement = _agreements[id];
        _checkLive(id, agreement, index);
        uint256 endS = _endS(terms, leg);
        require(block.timestamp >= endS, TooEarly(block.timestamp, endS));
        Shown memory shown = _shown[id][index];
        uint256 deadlineMs = uint256(leg.deadlineS) * 1000;
        uint256 heardMs = _heardMs(leg, shown.sentMs);
        Due memory due = Due(shown.penalty, shown.reached);
        _addLeg(
            due, terms.tiers, Metrics.positive(deadlineMs, leg.dueMs), Metrics.positive(deadlineMs, heardMs)
        );
        _conclude(id, agreement, terms, index, due);
    }

    /// @inheritdoc IPenaltyEscrow
    function pay(Terms calldata terms) external {
        bytes32 id = agreementId(terms);
        uint256 owed = _agreements[id].owed;
        require(owed != 0, NothingOwed(id));
        uint256 amount = _least(owed, vault.outflowAvailable(address(this), terms.token));
        require(amount != 0, OutflowUsedUp(id, owed));
        _agreements[id].owed = uint96(owed - amount);
        emit Paid(id, amount, owed - amount);
        vault.credit(terms.token, terms.carrier, terms.shipper, amount);
    }

    /// @inheritdoc IPenaltyEscrow
    function agreementOf(bytes32 id) external view returns (Agreement memory) {
        return _agreements[id];
    }

    /// @inheritdoc IPenaltyEscrow
    function shownOf(bytes32 id, uint256 index) external view returns (Shown memory) {
        return _shown[id][index];
    }

    /// @inheritdoc IPenaltyEscrow
    function agreementId(Terms calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(TermsCodec.hash(terms));
    }

    /// @dev Leg cap and what is left of the bond bound the penalty. With the last leg the rest of the bond goes
    /// back to the carrier's deposit.
    function _conclude(
        bytes32 id,
        Agreement memory agreement,
        Terms calldata terms,
        uint256 index,
        Due memory due
    ) private {
        uint256 penalty = _least(_least(due.amount, terms.legCap), terms.bond - agreement.penalty);
        uint256 rest = 0;
        agreement.concluded |= uint16(1 << index);
        agreement.penalty += uint96(penalty);
        if (agreement.concluded == (1 << terms.legs.length) - 1) {
            agreement.state = State.Settled;
            rest = terms.bond - agreement.penalty;
        }
        _agreements[id] = agreement;
        emit Concluded(id, terms.legs[index].legId, penalty, rest, due.reached);
        if (penalty != 0 && !_credit(terms, penalty)) {
            _agreements[id].owed = agreement.owed + uint96(penalty);
            emit Owed(id, terms.legs[index].legId, penalty);
        }
        if (rest != 0) vault.release(terms.token, terms.carrier, rest);
    }

    /// @dev False where the vault's outflow limit does not let the amount out now. Any other failure is one here,
    /// too: a call that ran out of gas must not turn a payment into a debt.
    function _credit(Terms calldata terms, uint256 amount) private returns (bool) {
        try vault.credit(terms.token, terms.carrier, terms.shipper, amount) {
            return true;
        } catch (bytes memory reason) {
            if (bytes4(reason) == ICreditVault.OutflowExceeded.selector) return false;
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }

    function _legOf(Terms calldata terms, uint256 index) private view returns (bytes32 id, Leg calldata leg) {
        Leg[] calldata legs = terms.legs;
        require(index < legs.length, LegUnknown(index, legs.length));
        return (agreementId(terms), legs[index]);
    }

    function _checkLive(bytes32 id, Agreement memory agreement, uint256 index) private pure {
        require(agreement.state == State.Open, AgreementState(id, agreement.state));
        require(agreement.concluded >> index & 1 == 0, LegConcluded(id, index));
    }

    function _checkTerms(Terms calldata terms) private view {
        require(
            terms.carrier != address(0) && terms.shipper != address(0) && terms.carrier != terms.shipper,
            PartiesInvalid(terms.carrier, terms.shipper)
        );
        require(terms.windowS >= windowMinS, WindowTooShort(terms.windowS, windowMinS));
        require(terms.bond != 0 && terms.bond <= type(uint96).max, BondOutOfBounds(terms.bond));
        require(terms.legCap != 0 && terms.legCap <= terms.bond, LegCapOutOfBounds(terms.legCap, terms.bond));
        _checkTiers(terms.tiers, _checkLegs(terms.legs));
    }

    /// @dev Strictly ascending by leg id. Says whether every leg has a time when it is due.
    function _checkLegs(Leg[] calldata legs) private view returns (bool haveDue) {
        uint256 count = legs.length;
        require(count != 0 && count <= LEGS_MAX, LegCountOutOfBounds(count));
        haveDue = true;
        bytes32 previous = 0;
        for (uint256 i = 0; i < count; ++i) {
            Leg calldata leg = legs[i];
            require(leg.legId > previous, LegOutOfOrder(i));
            _checkLeg(leg);
            if (leg.dueMs == 0) haveDue = false;
            previous = leg.legId;
        }
    }

    function _checkSignature(address party, bytes32 id, bytes calldata signature) private view {
        require(SignatureChecker.isValidSignatureNowCalldata(party, id, signature), SignatureOfParty(party));
    }

    /// @dev When the leg's window ends. Two numbers of at most 64 bits do not overflow.
    function _endS(Terms calldata terms, Leg calldata leg) private pure returns (uint256) {
        unchecked {
            return uint256(leg.deadlineS) + terms.windowS;
        }
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
