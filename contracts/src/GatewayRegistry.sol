// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {IGatewayRegistry} from "./interfaces/IGatewayRegistry.sol";

/// @title GatewayRegistry: what it promises is written at its interface, IGatewayRegistry
contract GatewayRegistry is IGatewayRegistry {
    uint8 public constant ALG_P256 = 1;
    uint64 public constant REVOKE_BACK_MS_MAX = 7 days * 1000;

    address public immutable registrar;
    mapping(bytes32 tenant => address admin) private _admins;
    mapping(bytes32 gatewayId => Gateway gateway) private _gateways;
    mapping(bytes32 gatewayId => mapping(uint16 channel => Calibration[] list)) private _calibrations;

    constructor(address registrar_) {
        require(registrar_ != address(0), AdminZero(0));
        registrar = registrar_;
    }

    /// @inheritdoc IGatewayRegistry
    function enrolTenant(bytes32 tenant, address admin) external {
        require(msg.sender == registrar, CallerNotAllowed(msg.sender, registrar));
        require(admin != address(0), AdminZero(tenant));
        require(_admins[tenant] == address(0), TenantKnown(tenant));
        _admins[tenant] = admin;
        emit TenantEnrolled(tenant, admin);
    }

    /// @inheritdoc IGatewayRegistry
    function setTenantAdmin(bytes32 tenant, address admin) external {
        _checkAdmin(tenant);
        require(admin != address(0), AdminZero(tenant));
        _admins[tenant] = admin;
        emit TenantAdminChanged(tenant, admin);
    }

    /// @inheritdoc IGatewayRegistry
    function register(
        uint8 alg,
        uint256 x,
        uint256 y,
        bytes32 tenant,
        uint64 validFromMs,
        uint64 validUntilMs
    ) external returns (bytes32 gatewayId) {
        _checkAdmin(tenant);
        require(alg == ALG_P256, AlgorithmUnknown(alg));
        require(P256.isValidPublicKey(bytes32(x), bytes32(y)), PointNotOnCurve(x, y));
        require(validFromMs < validUntilMs, PeriodEmpty(validFromMs, validUntilMs));
        gatewayId = gatewayIdOf(alg, x, y);
        require(_gateways[gatewayId].alg == 0, GatewayKnown(gatewayId));
        _gateways[gatewayId] = Gateway(x, y, tenant, alg, validFromMs, validUntilMs);
        emit GatewayRegistered(gatewayId, tenant, alg, x, y, validFromMs, validUntilMs);
    }

    /// @inheritdoc IGatewayRegistry
    function revoke(bytes32 gatewayId, uint64 revokedFromMs) external {
        Gateway storage gateway = _known(gatewayId);
        _checkAdmin(gateway.tenant);
        uint256 nowMs = block.timestamp * 1000;
        uint64 earliestMs = nowMs > REVOKE_BACK_MS_MAX ? uint64(nowMs) - REVOKE_BACK_MS_MAX : 0;
        require(revokedFromMs >= earliestMs, RevocationTooEarly(revokedFromMs, earliestMs));
        require(revokedFromMs < gateway.validUntilMs, RevocationLater(revokedFromMs, gateway.validUntilMs));
        gateway.validUntilMs = revokedFromMs;
        emit GatewayRevoked(gatewayId, gateway.tenant, revokedFromMs);
    }

    /// @inheritdoc IGatewayRegistry
    function calibrate(
        bytes32 gatewayId,
        uint16 channel,
        bytes32 certificate,
        uint64 validFromMs,
        uint64 validUntilMs,
        uint32 uncertaintyMilli
    ) external {
        _checkAdmin(_known(gatewayId).tenant);
        require(validFromMs < validUntilMs, PeriodEmpty(validFromMs, validUntilMs));
        Calibration[] storage list = _calibrations[gatewayId][channel];
        if (list.length != 0) {
            uint64 newestMs = list[list.length - 1].validFromMs;
            require(validFromMs > newestMs, CalibrationNotNewer(validFromMs, newestMs));
        }
        list.push(Calibration(certificate, validFromMs, validUntilMs, uncertaintyMilli));
        emit GatewayCalibrated(gatewayId, channel, certificate, validFromMs, validUntilMs, uncertaintyMilli);
    }

    /// @inheritdoc IGatewayRegistry
    function adminOf(bytes32 tenant) external view returns (address) {
        return _admins[tenant];
    }

    /// @inheritdoc IGatewayRegistry
    function gatewayOf(bytes32 gatewayId) external view returns (Gateway memory) {
        return _gateways[gatewayId];
    }

    /// @inheritdoc IGatewayRegistry
    function keyAt(bytes32 gatewayId, uint64 eventMs)
        external
        view
        returns (bytes32 tenant, uint256 x, uint256 y)
    {
        Gateway storage gateway = _known(gatewayId);
        (uint64 fromMs, uint64 untilMs) = (gateway.validFromMs, gateway.validUntilMs);
        require(fromMs <= eventMs && eventMs < untilMs, GatewayNotValid(gatewayId, eventMs, fromMs, untilMs));
        return (gateway.tenant, gateway.x, gateway.y);
    }

    /// @inheritdoc IGatewayRegistry
    function calibrationAt(bytes32 gatewayId, uint16 channel, uint64 eventMs)
        external
        view
        returns (Calibration memory)
    {
        Calibration[] storage list = _calibrations[gatewayId][channel];
        uint256 low = 0;
        uint256 high = list.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (list[middle].validFromMs <= eventMs) low = middle + 1;
            else high = middle;
        }
        require(
            low != 0 && eventMs < list[low - 1].validUntilMs, CalibrationUnknown(gatewayId, channel, eventMs)
        );
        return list[low - 1];
    }

    /// @notice H(08 ‖ alg ‖ x ‖ y).
    function gatewayIdOf(uint8 alg, uint256 x, uint256 y) public pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(8), alg, x, y));
    }

    function _known(bytes32 gatewayId) private view returns (Gateway storage gateway) {
        gateway = _gateways[gatewayId];
        require(gateway.alg != 0, GatewayUnknown(gatewayId));
    }

    function _checkAdmin(bytes32 tenant) private view {
        address admin = _admins[tenant];
        require(admin != address(0), TenantUnknown(tenant));
        require(msg.sender == admin, CallerNotAllowed(msg.sender, admin));
    }
}
