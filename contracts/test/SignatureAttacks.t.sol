// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FrameProof, Terms} from "../src/Settlement.sol";
import {ILegEvidence} from "../src/interfaces/ILegEvidence.sol";
import {LegFixture} from "./LegFixture.sol";

/// @notice A chain's P-256 precompile, missing or strange, neither lets a forgery in nor keeps the truth out.
contract SignatureAttacksTest is LegFixture {
    address private constant PRECOMPILE = address(0x100);

    /// @notice Nothing at the address: a call to it succeeds and returns no bytes.
    function testPrecompileAbsent() public {
        _goodCountsAndForgedDoesNot();
    }

    /// @notice Code that returns nothing, as RIP-7212 does for a bad signature.
    function testPrecompileReturnsNothing() public {
        vm.etch(PRECOMPILE, hex"00");
        _goodCountsAndForgedDoesNot();
    }

    /// @notice Code that answers 32 bytes of zero whatever it is asked.
    function testPrecompileReturnsZero() public {
        vm.etch(PRECOMPILE, hex"60206000f3");
        _goodCountsAndForgedDoesNot();
    }

    /// @notice Code that fails: nothing is paid, not even on good evidence, until the chain is mended.
    function testPrecompileFails() public {
        (Terms memory terms, FrameProof memory proof) = (_terms(), _opened());
        vm.etch(PRECOMPILE, hex"60006000fd");
        try escrow.settle{gas: 3_000_000}(terms, 0, proof) {
            revert NotTrue("refused");
        } catch {}
        vm.etch(PRECOMPILE, "");
        escrow.settle(terms, 0, proof);
        assertEq(_credit(shipper), 300e6, "later");
    }

    function _goodCountsAndForgedDoesNot() private {
        (Terms memory terms, FrameProof memory proof) = (_terms(), _opened());
        bytes32 s = proof.s;
        proof.s = bytes32(uint256(s) ^ 1);
        vm.expectRevert(abi.encodeWithSelector(ILegEvidence.FrameSignature.selector));
        escrow.settle(terms, 0, proof);
        proof.s = s;
        escrow.settle(terms, 0, proof);
        assertEq(_credit(shipper), 300e6, "penalty");
    }

    function _opened() private returns (FrameProof memory) {
        _open(_terms());
        return _closing(2 * HOUR_MS);
    }
}
