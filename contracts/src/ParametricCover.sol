// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {CoverPools} from "./CoverPools.sol";
import {FrameCodec} from "./FrameCodec.sol";
import {Policy} from "./Insurance.sol";
import {LegEvidence} from "./LegEvidence.sol";
import {Metrics} from "./Metrics.sol";
import {PolicyCodec} from "./PolicyCodec.sol";
import {FrameProof, Leg} from "./Settlement.sol";
import {IAnchorRegistry} from "./interfaces/IAnchorRegistry.sol";
import {ICoverPools} from "./interfaces/ICoverPools.sol";
import {ICreditVault} from "./interfaces/ICreditVault.sol";
import {IGatewayRegistry} from "./interfaces/IGatewayRegistry.sol";
import {IParametricCover} from "./interfaces/IParametricCover.sol";

/// @title ParametricCover: what it promises is written at its interface, IParametricCover
contract ParametricCover is IParametricCover, LegEvidence, EIP712 {
    /// @inheritdoc IParametricCover
    ICoverPools public immutable pools;
    /// @notice The least window of policies: a frame anchored by the deadline is final before it ends, contested or not.
    uint32 public immutable windowMinS;
    mapping(bytes32 id => Cover cover) private _covers;

    constructor(IGatewayRegistry gateways_, IAnchorRegistry anchors_, ICreditVault vault_)
        EIP712("Lading ParametricCover", "1")
        LegEvidence(gateways_, anchors_)
    {
        uint32 windowS = anchors_.windowS();
        windowMinS = 2 * windowS;
        pools = new CoverPools(vault_, windowS);
    }

    /// @inheritdoc IParametricCover
    function buy(Policy calldata policy, bytes calldata managerSignature) external returns (bytes32 id) {
        id = coverId(policy);
        require(msg.sender == policy.holder, CallerNotAllowed(msg.sender, policy.holder));
        (address manager, uint32 waitingS, uint32 spanS) = pools.saleTermsOf(policy.pool);
        _checkTimes(policy, waitingS, spanS);
        _checkPolicy(policy);
        _take(id, State.Open);
        require(
            SignatureChecker.isValidSignatureNowCalldata(manager, id, managerSignature),
            SignatureOfManager(manager)
        );
        emit Bought(id, policy.leg.legId, policy.pool, policy.holder, policy.maximum, policy.premium);
        pools.sell(
            policy.pool, policy.holder, policy.tenant, policy.leg.legId, policy.maximum, policy.premium
        );
    }

    /// @inheritdoc IParametricCover
    function cancel(Policy calldata policy) external {
        bytes32 id = coverId(policy);
        (address manager,,) = pools.saleTermsOf(policy.pool);
        require(msg.sender == manager, CallerNotAllowed(msg.sender, manager));
        _take(id, State.Cancelled);
        emit Cancelled(id, policy.leg.legId, policy.pool);
    }

    /// @inheritdoc IParametricCover
    function settle(Policy calldata policy, FrameProof calldata proof) external {
        (bytes32 id,) = _live(policy);
        _checkBefore(_endS(policy));
        FrameCodec.Header memory header = _checkFrame(policy.tenant, policy.leg, proof);
        require(header.legState == FrameCodec.CLOSED, FrameNotClosing(header.frameSeq));
        Due memory due = _dueByFrame(policy, proof, header);
        _addLeg(due, policy.tiers, Metrics.positive(header.sentMs, policy.leg.dueMs), 0);
        _conclude(id, policy, due);
    }

    /// @inheritdoc IParametricCover
    function show(Policy calldata policy, FrameProof calldata proof) external {
        (bytes32 id, Cover memory cover) = _live(policy);
        _checkFrom(policy.leg.deadlineS);
        _checkBefore(_endS(policy));
        FrameCodec.Header memory header = _checkFrame(policy.tenant, policy.leg, proof);
        require(header.legState == FrameCodec.OPEN, FrameCloses(header.frameSeq));
        require(
            !cover.isShown || header.frameSeq > cover.frameSeq, FrameNotNewer(header.frameSeq, cover.frameSeq)
        );
        Due memory due = _dueByFrame(policy, proof, header);
        // More changes nothing, and this fits; times fit 48 bits, tiers 32.
        uint256 amount = _least(due.amount, uint256(policy.maximum) + policy.deductible);
        _covers[id] = Cover(
            State.Open, true, header.frameSeq, uint48(header.sentMs), uint32(due.reached), uint96(amount)
        );
        emit FrameShown(id, policy.leg.legId, header.frameSeq, header.sentMs, amount, due.reached);
    }

    /// @inheritdoc IParametricCover
    function finish(Policy calldata policy) external {
        (bytes32 id, Cover memory cover) = _live(policy);
        _checkFrom(_endS(policy));
        Leg calldata leg = policy.leg;
        uint256 deadlineMs = uint256(leg.deadlineS) * 1000;
        uint256 heardMs = _heardMs(leg, cover.sentMs);
        Due memory due = Due(cover.amount, cover.reached);
        _addLeg(
            due, policy.tiers, Metrics.positive(deadlineMs, leg.dueMs), Metrics.positive(deadlineMs, heardMs)
        );
        _conclude(id, policy, due);
    }

    /// @inheritdoc IParametricCover
    function pay(Policy calldata policy) external {
        bytes32 id = coverId(policy);
        Cover storage cover = _covers[id];
        uint96 owed = cover.state == State.Settled ? cover.amount : 0;
        require(owed != 0, NothingOwed(id));
        cover.amount = 0;
        uint96 amount = pools.payOwed(policy.pool, policy.holder, owed);
        require(amount != 0, OutflowUsedUp(id, owed));
        cover.amount = owed - amount;
        emit Paid(id, amount, owed - amount);
    }

    /// @inheritdoc IParametricCover
    function coverOf(bytes32 id) external view returns (Cover memory) {
        return _covers[id];
    }

    /// @inheritdoc IParametricCover
    function coverId(Policy calldata policy) public view returns (bytes32) {
        return _hashTypedDataV4(PolicyCodec.hash(policy));
    }

    /// @dev What happened before the cover's start is not covered.
    function _dueByFrame(Policy calldata policy, FrameProof calldata proof, FrameCodec.Header memory header)
        private
        view
        returns (Due memory)
    {
        Sight memory sight = _sightOf(policy.leg, header, policy.uncertaintyMaxMilli);
        sight.sinceMs = policy.startS * 1000;
        return _dueOfChannels(policy.tiers, proof.runs, header, sight);
    }

    function _conclude(bytes32 id, Policy calldata policy, Due memory due) private {
        uint256 payout = _least(Metrics.positive(due.amount, policy.deductible), policy.maximum);
        Cover storage cover = _covers[id];
        (cover.state, cover.amount) = (State.Settled, 0);
        emit Concluded(id, policy.leg.legId, payout, policy.maximum - payout, due.reached);
        if (!pools.end(policy.pool, policy.holder, policy.maximum, policy.premium, uint96(payout))) {
            cover.amount = uint96(payout);
            emit Owed(id, policy.leg.legId, payout);
        }
    }

    /// @dev Takes a policy off the market, once.
    function _take(bytes32 id, State state) private {
        Cover storage cover = _covers[id];
        require(cover.state == State.None, CoverState(id, cover.state));
        cover.state = state;
    }

    function _checkTimes(Policy calldata policy, uint32 waitingS, uint32 spanS) private view {
        require(block.timestamp <= policy.quoteUntilS, QuoteExpired(block.timestamp, policy.quoteUntilS));
        uint256 minS = block.timestamp + waitingS;
        require(
            policy.startS >= minS && uint256(policy.startS) * 1000 <= policy.leg.beginMs,
            StartTooEarly(policy.startS, minS, policy.leg.beginMs)
        );
        uint256 maxS = block.timestamp + spanS;
        require(_endS(policy) <= maxS, SpanTooLong(_endS(policy), maxS));
    }

    function _checkPolicy(Policy calldata policy) private view {
        uint96 max = type(uint96).max - policy.maximum;
        require(policy.deductible <= max, DeductibleTooLarge(policy.deductible, max));
        require(policy.windowS >= windowMinS, WindowTooShort(policy.windowS, windowMinS));
        _checkLeg(policy.leg);
        _checkTiers(policy.tiers, policy.leg.dueMs != 0);
        _checkGateway(policy.tenant, policy.leg);
    }

    /// @dev The gateway is the tenant's and may sign from the leg's begin to its deadline, as the registry has it now:
    /// silence of one that cannot be heard is no event.
    function _checkGateway(bytes32 tenant, Leg calldata leg) private view {
        (bytes32 found,,) = gateways.keyAt(leg.gatewayId, leg.beginMs);
        require(found == tenant, GatewayTenant(found, tenant));
        gateways.keyAt(leg.gatewayId, leg.deadlineS * 1000);
    }

    /// @dev The cover, if it is open.
    function _live(Policy calldata policy) private view returns (bytes32 id, Cover memory cover) {
        id = coverId(policy);
        cover = _covers[id];
        require(cover.state == State.Open, CoverState(id, cover.state));
    }

    function _checkFrom(uint256 fromS) private view {
        require(block.timestamp >= fromS, TooEarly(block.timestamp, fromS));
    }

    function _checkBefore(uint256 untilS) private view {
        require(block.timestamp < untilS, TooLate(block.timestamp, untilS));
    }

    function _endS(Policy calldata policy) private pure returns (uint256) {
        return uint256(policy.leg.deadlineS) + policy.windowS;
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
