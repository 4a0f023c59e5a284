// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameProof, Terms, Tier} from "../src/Settlement.sol";
import {IPenaltyEscrow} from "../src/interfaces/IPenaltyEscrow.sol";
import {LegFixture} from "./LegFixture.sol";

/// @dev Terms of version 1: docs/spec/settlement.md.
struct TermsOne {
    address carrier;
    address shipper;
    address token;
    bytes32 tenant;
    bytes32 gatewayId;
    bytes32 legId;
    bytes32 limitsHash;
    uint64 beginMs;
    uint64 dueMs;
    uint64 deadlineS;
    uint32 windowS;
    uint128 bond;
    uint128 salt;
    Tier[] tiers;
}

interface IPenaltyEscrowOne {
    function open(TermsOne calldata terms, bytes calldata byCarrier, bytes calldata byShipper)
        external
        returns (bytes32);
    function settle(TermsOne calldata terms, FrameProof calldata proof) external;
    function finish(TermsOne calldata terms) external;
    function agreementId(TermsOne calldata terms) external view returns (bytes32);
}

/// @notice Agreements that are open on the escrow of version 1, as it was released, settle there after version 2 is
/// admitted beside it, from the same evidence and the same vault; neither touches the other's money.
contract UpgradeTest is LegFixture {
    IPenaltyEscrowOne private one;
    TermsOne private old;

    function setUp() public override {
        super.setUp();
        one = IPenaltyEscrowOne(_deployOne());
        vm.prank(steward);
        vault.admit(address(one), address(token), 1_000_000e6, 1 days);
        (old.carrier, old.shipper, old.token) = (carrier, shipper, address(token));
        (old.tenant, old.gatewayId, old.legId, old.limitsHash) = (TENANT, gatewayId, LEG, LIMITS);
        (old.beginMs, old.deadlineS, old.windowS) = (BEGIN_MS, START_S + 72 hours, SHOW_S);
        (old.bond, old.salt) = (BOND, 1);
        old.tiers.push(_tier(1, 1, HOUR_MS, 300e6));
        token.mint(carrier, BOND);
        vm.startPrank(carrier);
        token.approve(address(vault), BOND);
        vault.deposit(address(one), address(token), BOND);
        vm.stopPrank();
        bytes32 id = one.agreementId(old);
        one.open(old, _sign("carrier", id), _sign("shipper", id));
    }

    function testBothSettleFromOneEvidence() public {
        Terms memory terms = _terms();
        _open(terms);
        FrameProof memory proof = _closing(2 * HOUR_MS);
        one.settle(old, proof);
        assertEq(_credit(shipper), 300e6, "by version 1");
        assertEq(_freeOf(address(one)), BOND - 300e6, "its rest");
        assertEq(_locked(), BOND, "version 2's bond is still locked");
        escrow.settle(terms, 0, proof);
        assertEq(_credit(shipper), 600e6, "by version 2");
        assertEq(_free(), BOND - 300e6, "its rest");
    }

    function testTheOldOneFinishes() public {
        vm.warp(old.deadlineS + SHOW_S);
        one.finish(old);
        assertEq(_freeOf(address(one)), BOND, "released");
    }

    /// @notice What was signed for version 1 opens nothing in version 2: the domains differ.
    function testSignaturesOfTheOtherVersion() public {
        Terms memory terms = _terms();
        _deposit(BOND);
        bytes32 id = one.agreementId(old);
        (bytes memory byCarrier, bytes memory byShipper) = (_sign("carrier", id), _sign("shipper", id));
        vm.expectRevert(abi.encodeWithSelector(IPenaltyEscrow.SignatureOfParty.selector, carrier));
        escrow.open(terms, byCarrier, byShipper);
    }

    function _deployOne() private returns (address deployed) {
        string memory json = vm.readFile("artifacts/v1/PenaltyEscrow.json");
        bytes memory code =
            bytes.concat(vm.parseJsonBytes(json, ".bytecode"), abi.encode(gateways, anchors, vault));
        assembly {
            deployed := create(0, add(code, 32), mload(code))
        }
        assertTrue(deployed != address(0), "deployed");
    }

    function _freeOf(address product) private view returns (uint256) {
        return vault.depositOf(product, address(token), carrier).free;
    }
}
