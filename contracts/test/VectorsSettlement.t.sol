// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LegEvidence} from "../src/LegEvidence.sol";
import {Terms} from "../src/Settlement.sol";
import {TermsCodec} from "../src/TermsCodec.sol";
import {VectorsBase} from "./VectorsBase.sol";

/// @dev Terms as calldata.
contract TermsHasher {
    function structHash(Terms calldata terms) external pure returns (bytes32) {
        return TermsCodec.hash(terms);
    }
}

/// @notice Solidity hashes terms and judges totals as the frozen vectors and Python do.
contract VectorsSettlementTest is VectorsBase {
    TermsHasher private hasher = new TermsHasher();

    constructor() {
        json = vm.readFile("../tests/vectors/settlement2.json");
    }

    function testTermsHashes() public view {
        uint256 cases = 0;
        for (; vm.keyExistsJson(json, _at(".terms", cases)); ++cases) {
            string memory place = _at(".terms", cases);
            if (bytes(vm.parseJsonString(json, string.concat(place, ".error"))).length != 0) break;
            Terms memory terms = abi.decode(vm.parseJsonBytes(json, string.concat(place, ".bytes")), (Terms));
            bytes32 wanted = vm.parseJsonBytes32(json, string.concat(place, ".struct_hash"));
            assertEq(hasher.structHash(terms), wanted, place);
        }
        assertTrue(cases > 4, "too few cases");
    }

    function testDue() public {
        uint256 cases = 0;
        for (; vm.keyExistsJson(json, _at(".due", cases)); ++cases) {
            string memory place = _at(".due", cases);
            Terms memory terms = abi.decode(vm.parseJsonBytes(json, string.concat(place, ".terms")), (Terms));
            uint256 left = terms.bond;
            string memory legs = string.concat(place, ".legs");
            for (uint256 i = 0; vm.keyExistsJson(json, _at(legs, i)); ++i) {
                left -= _checkLeg(terms, left, _at(legs, i), i + 1 == terms.legs.length);
            }
        }
        assertTrue(cases > 20, "too few cases");
    }

    function _checkLeg(Terms memory terms, uint256 left, string memory place, bool isLast)
        private
        returns (uint256 penalty)
    {
        LegEvidence.Due memory due =
            _due(terms.tiers, terms.legs[_number(place, ".leg")], terms.uncertaintyMaxMilli, 0, place);
        penalty = due.amount < terms.legCap ? due.amount : terms.legCap;
        if (penalty > left) penalty = left;
        assertEq(due.reached, _reached(place), place);
        assertEq(penalty, _number(place, ".penalty"), place);
        assertEq(isLast ? left - penalty : 0, _number(place, ".rest"), place);
    }
}
