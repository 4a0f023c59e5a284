// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameProof, Terms} from "../src/Settlement.sol";
import {IPenaltyEscrow} from "../src/interfaces/IPenaltyEscrow.sol";
import {FrameHandler, InvariantBase} from "./InvariantBase.sol";

/// @dev Acts at random on one vault and escrow: a carrier, two shippers, gateway, anchorer, guardian and time.
contract Handler is FrameHandler {
    uint256 private constant AGREEMENTS_MAX = 12;

    string[2] private names = ["shipper", "second shipper"];
    bytes32[] private ids;
    mapping(bytes32 id => Terms) private termsOf;
    mapping(bytes32 id => mapping(uint256 leg => uint256)) private concludedCount;
    mapping(bytes32 id => mapping(bytes32 frame => uint256)) private usedCount;
    mapping(address shipper => uint256) private withdrawn;
    uint256 public minted;
    uint256 public paidFromUnfinal;
    uint256 public doneTwice;

    function setUp() public override {
        super.setUp();
        _admitSmall(address(escrow));
    }

    // ---- Acts

    function deposit(uint256 amount) external {
        amount = bound(amount, 1, 2 * BOND);
        minted += amount;
        _deposit(amount);
    }

    function reclaim(uint256 amount) external {
        vm.prank(carrier);
        vault.reclaim(address(escrow), address(token), bound(amount, 1, 2 * BOND), carrier);
    }

    function withdraw(uint256 who, uint256 amount) external {
        address one = actor(names[who % 2]);
        _withdraw(one, bound(amount, 1, _credit(one) + 1));
    }

    function open(uint256 who, uint128 bond, uint128 legCap, uint64 threshold, uint128 amount) external {
        if (ids.length == AGREEMENTS_MAX) return;
        Terms memory terms = _terms(
            _tiers(
                _tier(0, 9, 3 * HOUR_MS, BOND / 2),
                _tier(1, 1, uint128(bound(threshold, 0, 4 * HOUR_MS)), uint128(bound(amount, 1, 2 * BOND)))
            )
        );
        terms.shipper = actor(names[who % 2]);
        terms.bond = uint128(bound(bond, bond % 2 == 0 ? BOND / 2 : 1, BOND));
        terms.legCap = legCap % 2 == 0 ? terms.bond : uint128(bound(legCap, 1, terms.bond));
        (terms.salt, terms.windowS) = (uint128(ids.length), 10 days);
        terms.legs = LEG < SECOND_LEG ? _legs(LEG, SECOND_LEG) : _legs(SECOND_LEG, LEG);
        for (uint256 i = 0; i < 2; ++i) {
            (terms.legs[i].deadlineS, terms.legs[i].dueMs) = (uint64(block.timestamp + (i + 1) * 5 days), 0);
        }
        bytes32 id = escrow.agreementId(terms);
        escrow.open(terms, _sign("carrier", id), _sign(names[who % 2], id));
        ids.push(id);
        _keep(termsOf[id], terms);
    }

    function settle(uint256 which, uint256 leg, uint256 frame) external {
        (bytes32 id, FrameProof memory proof) = _pick(which, leg % 2, frame, 2);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        escrow.settle(termsOf[id], leg % 2, proof);
        if (!isFinal) ++paidFromUnfinal;
        if (++usedCount[id][keccak256(proof.header)] > 1) ++doneTwice;
        _concluded(id, leg % 2);
    }

    function show(uint256 which, uint256 leg, uint256 frame) external {
        (bytes32 id, FrameProof memory proof) = _pick(which, leg % 2, frame, 1);
        if (which % 3 == 0) _warpTo(termsOf[id].legs[leg % 2].deadlineS);
        bool isFinal = anchors.isFinal(proof.interval, proof.anchored);
        escrow.show(termsOf[id], leg % 2, proof);
        if (!isFinal) ++paidFromUnfinal;
        if (++usedCount[id][keccak256(proof.header)] > 1) ++doneTwice;
    }

    function finish(uint256 which, uint256 leg) public {
        bytes32 id = ids[which % ids.length];
        if (which % 2 == 0) _warpTo(uint256(termsOf[id].legs[leg % 2].deadlineS) + termsOf[id].windowS);
        escrow.finish(termsOf[id], leg % 2);
        _concluded(id, leg % 2);
    }

    function pay(uint256 which) external {
        escrow.pay(termsOf[ids[which % ids.length]]);
    }

    // ---- What must hold

    /// @notice What the vault owes: the carrier's deposit and everyone's credits.
    function owed() external view returns (uint256) {
        return _free() + _locked() + _credit(carrier) + _credit(actor(names[0])) + _credit(actor(names[1]));
    }

    function held() external view returns (uint256) {
        return token.balanceOf(address(vault));
    }

    /// @notice Locked is what agreements can still cost: the bond less penalties while open, and what is owed.
    function lockedIsWhatAgreementsNeed() external view returns (bool) {
        uint256 needed = 0;
        for (uint256 i = 0; i < ids.length; ++i) {
            IPenaltyEscrow.Agreement memory agreement = escrow.agreementOf(ids[i]);
            needed += agreement.owed;
            if (agreement.state == IPenaltyEscrow.State.Open) {
                needed += termsOf[ids[i]].bond - agreement.penalty;
            }
        }
        return needed == _locked();
    }

    /// @notice Within the bond and the legs' caps, and shippers have been credited penalties less what is owed.
    function penaltiesAreBoundAndCredited() external view returns (bool) {
        uint256[2] memory due;
        for (uint256 i = 0; i < ids.length; ++i) {
            IPenaltyEscrow.Agreement memory agreement = escrow.agreementOf(ids[i]);
            Terms storage terms = termsOf[ids[i]];
            uint256 legs = (agreement.concluded & 1) + (agreement.concluded >> 1);
            if (agreement.penalty > terms.bond || agreement.penalty > legs * terms.legCap) return false;
            due[terms.shipper == actor(names[0]) ? 0 : 1] += agreement.penalty - agreement.owed;
        }
        for (uint256 i = 0; i < 2; ++i) {
            address one = actor(names[i]);
            if (due[i] != _credit(one) + withdrawn[one]) return false;
        }
        return true;
    }

    /// @notice After everything, each leg can be finished, what is owed is paid, and everyone takes out all that is theirs.
    function leaveAll() external {
        for (uint256 i = 0; i < ids.length; ++i) {
            _end(i);
        }
        uint256 free = _free();
        if (free != 0) {
            vm.prank(carrier);
            vault.reclaim(address(escrow), address(token), free, carrier);
        }
        uint256 total = token.balanceOf(carrier);
        for (uint256 i = 0; i < 2; ++i) {
            address one = actor(names[i]);
            if (_credit(one) != 0) _withdraw(one, _credit(one));
            total += token.balanceOf(one);
        }
        assertEq(token.balanceOf(address(vault)), 0, "nothing stays behind");
        assertEq(total, minted, "nothing is lost");
    }

    // ---- Help

    /// @dev Both legs finished, and what is owed paid as the vault lets it out.
    function _end(uint256 which) private {
        bytes32 id = ids[which];
        vm.warp(block.timestamp + 60 days);
        for (uint256 leg = 0; leg < 2; ++leg) {
            if (escrow.agreementOf(id).concluded >> leg & 1 == 0) finish(which, leg);
        }
        for (uint256 tries = 0; escrow.agreementOf(id).owed != 0 && tries < 4; ++tries) {
            vm.warp(block.timestamp + 15 days);
            escrow.pay(termsOf[id]);
        }
    }

    function _pick(uint256 which, uint256 leg, uint256 frame, uint8 legState)
        private
        view
        returns (bytes32 id, FrameProof memory proof)
    {
        id = ids[which % ids.length];
        proof = _likely(frame, legState, termsOf[id].legs[leg].legId);
    }

    function _concluded(bytes32 id, uint256 leg) private {
        if (++concludedCount[id][leg] > 1) ++doneTwice;
    }

    function _withdraw(address one, uint256 amount) private {
        vm.prank(one);
        vault.withdraw(address(token), amount, one);
        withdrawn[one] += amount;
    }
}

/// @notice Over any sequence of acts: money is conserved, paid once, from final evidence, and can leave.
contract InvariantsTest is InvariantBase {
    Handler private handler;

    function setUp() public override {
        handler = new Handler();
        handler.setUp();
    }

    /// @dev One campaign for all: each act is followed by every question.
    function invariant_Money() external view {
        assertEq(handler.held(), handler.owed(), "the vault holds what it owes");
        assertTrue(handler.lockedIsWhatAgreementsNeed(), "locked is what agreements need");
        assertTrue(handler.penaltiesAreBoundAndCredited(), "within bond and caps, and credited");
        assertEq(handler.doneTwice(), 0, "each leg once, each frame once an agreement");
        assertEq(handler.paidFromUnfinal(), 0, "from final evidence");
    }

    function afterInvariant() external {
        assertTrue(handler.anchorsAreAsAnchored(), "anchors never change");
        handler.leaveAll();
    }

    function _acts() internal view override returns (address, bytes4[] memory selectors) {
        selectors = new bytes4[](12);
        selectors[0] = Handler.deposit.selector;
        selectors[1] = Handler.reclaim.selector;
        selectors[2] = Handler.withdraw.selector;
        selectors[3] = Handler.open.selector;
        selectors[4] = FrameHandler.sign.selector;
        selectors[5] = FrameHandler.contest.selector;
        selectors[6] = FrameHandler.endContest.selector;
        selectors[7] = Handler.settle.selector;
        selectors[8] = Handler.show.selector;
        selectors[9] = Handler.finish.selector;
        selectors[10] = FrameHandler.wait.selector;
        selectors[11] = Handler.pay.selector;
        return (address(handler), selectors);
    }
}
