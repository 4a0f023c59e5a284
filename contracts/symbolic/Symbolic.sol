// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../test/Base.sol";

/// @dev The part of halmos's own cheatcodes that these proofs use.
interface Svm {
    function createBytes(uint256 length, string calldata name) external pure returns (bytes memory);
    function createUint(uint256 bits, string calldata name) external pure returns (uint256);
    function enableSymbolicStorage(address target) external;
}

/// @dev Of each check_ function halmos tries every input at once. Only a failing `assert` is a failure: an input
/// that reverts otherwise is one that the check says nothing of.
abstract contract Symbolic is Base {
    Svm internal constant svm = Svm(0xF3993A62377BCd56AE39D773740A5390411E8BC9);
}
