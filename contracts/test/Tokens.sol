// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MockToken} from "../src/MockToken.sol";

/// @dev Keeps a hundredth of every transfer.
contract FeeToken is MockToken {
    function _update(address from, address to, uint256 amount) internal override {
        if (from == address(0) || to == address(0)) {
            super._update(from, to, amount);
        } else {
            super._update(from, address(0xfee), amount / 100);
            super._update(from, to, amount - amount / 100);
        }
    }
}

/// @dev Says false instead of reverting.
contract FalseToken is MockToken {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return false;
    }

    function transfer(address, uint256) public pure override returns (bool) {
        return false;
    }
}

/// @dev Good at first, then says false instead of paying.
contract TurningToken is MockToken {
    bool public isFalse;

    function setFalse(bool value) external {
        isFalse = value;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return !isFalse && super.transfer(to, amount);
    }
}

/// @dev Sets balances at will, as rebasing tokens do.
contract RebasingToken is MockToken {
    function rebase(address owner, uint256 amount) external {
        uint256 found = balanceOf(owner);
        if (amount > found) _mint(owner, amount - found);
        else _burn(owner, found - amount);
    }
}

/// @dev Returns nothing, as some old tokens do.
contract SilentToken {
    mapping(address owner => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @dev Blocks receivers.
contract BlockingToken is MockToken {
    mapping(address owner => bool) public isBlocked;

    error Blocked(address owner);

    function setBlocked(address owner, bool value) external {
        isBlocked[owner] = value;
    }

    function _update(address from, address to, uint256 amount) internal override {
        require(!isBlocked[to], Blocked(to));
        super._update(from, to, amount);
    }
}

/// @dev Calls a contract in the middle of every transfer, as ERC-777 does.
contract CallingToken is MockToken {
    address public target;
    bytes public data;
    bool public isCallGood;
    bytes public answer;

    function setCall(address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (target != address(0)) (isCallGood, answer) = target.call(data);
    }
}
