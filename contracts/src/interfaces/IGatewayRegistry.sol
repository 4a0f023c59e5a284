// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Which key may speak for which tenant, from when until when
/// @notice A gateway is its key: gateway id = H(08 ‖ alg ‖ x ‖ y). Validity is judged at the time of the event
/// (milliseconds since 1970, as signed), not of the call.
/// @dev Warning: an entry says who vouched for a key, not that its holder is honest.
interface IGatewayRegistry {
    struct Gateway {
        uint256 x;
        uint256 y;
        bytes32 tenant;
        uint8 alg;
        uint64 validFromMs;
        uint64 validUntilMs;
    }

    struct Calibration {
        bytes32 certificate;
        uint64 validFromMs;
        uint64 validUntilMs;
        uint32 uncertaintyMilli;
    }

    event TenantEnrolled(bytes32 indexed tenant, address indexed admin);
    event TenantAdminChanged(bytes32 indexed tenant, address indexed admin);
    event GatewayRegistered(
        bytes32 indexed gatewayId,
        bytes32 indexed tenant,
        uint8 alg,
        uint256 x,
        uint256 y,
        uint64 validFromMs,
        uint64 validUntilMs
    );
    event GatewayRevoked(bytes32 indexed gatewayId, bytes32 indexed tenant, uint64 revokedFromMs);
    event GatewayCalibrated(
        bytes32 indexed gatewayId,
        uint16 indexed channel,
        bytes32 certificate,
        uint64 validFromMs,
        uint64 validUntilMs,
        uint32 uncertaintyMilli
    );

    /// @notice The caller is neither the registrar nor the tenant's admin, whoever was wanted.
    error CallerNotAllowed(address caller, address wanted);
    error TenantKnown(bytes32 tenant);
    error TenantUnknown(bytes32 tenant);
    error AdminZero(bytes32 tenant);
    error AlgorithmUnknown(uint8 alg);
    error PointNotOnCurve(uint256 x, uint256 y);
    error PeriodEmpty(uint64 fromMs, uint64 untilMs);
    error GatewayKnown(bytes32 gatewayId);
    error GatewayUnknown(bytes32 gatewayId);
    error GatewayNotValid(bytes32 gatewayId, uint64 eventMs, uint64 fromMs, uint64 untilMs);
    /// @notice A revocation may only bring the end forward.
    error RevocationLater(uint64 revokedFromMs, uint64 validUntilMs);
    /// @notice A revocation reaches back at most REVOKE_BACK_MS_MAX, so that settled time stays settled.
    error RevocationTooEarly(uint64 revokedFromMs, uint64 earliestMs);
    error CalibrationNotNewer(uint64 validFromMs, uint64 newestMs);
    error CalibrationUnknown(bytes32 gatewayId, uint16 channel, uint64 eventMs);

    /// @notice Lets `admin` register gateways of `tenant`. Registrar only, once a tenant.
    /// @dev The registrar has no power over a tenant afterwards.
    function enrolTenant(bytes32 tenant, address admin) external;

    /// @notice Hands a tenant to another admin. Tenant's admin only.
    function setTenantAdmin(bytes32 tenant, address admin) external;

    /// @notice Registers a key for [validFromMs, validUntilMs). Tenant's admin only; a key belongs to one tenant,
    /// for good. No end is `2^64 − 1`.
    /// @dev alg 1 is ECDSA P-256 with SHA-256; others are refused. Refuses points that are not on the curve.
    /// Warning: there is no proof of possession: a tenant could register a foreign key it has seen. It gains
    /// nothing by that (frames name the leg, and the batch names the tenant), but the key's owner must take a new one.
    function register(
        uint8 alg,
        uint256 x,
        uint256 y,
        bytes32 tenant,
        uint64 validFromMs,
        uint64 validUntilMs
    ) external returns (bytes32 gatewayId);

    /// @notice Ends a key's validity at `revokedFromMs`. Tenant's admin only. Only ever earlier, and at most
    /// REVOKE_BACK_MS_MAX before the block: frames signed before that stay good.
    function revoke(bytes32 gatewayId, uint64 revokedFromMs) external;

    /// @notice Records a channel's calibration certificate by hash. Tenant's admin only; in order of validFromMs.
    /// @param uncertaintyMilli Expanded uncertainty (k = 2) in thousandths of the channel's unit.
    function calibrate(
        bytes32 gatewayId,
        uint16 channel,
        bytes32 certificate,
        uint64 validFromMs,
        uint64 validUntilMs,
        uint32 uncertaintyMilli
    ) external;

    /// @notice The admin of a tenant; zero if it is not enrolled.
    function adminOf(bytes32 tenant) external view returns (address);

    /// @notice The entry of a gateway; all zero if it is not registered.
    function gatewayOf(bytes32 gatewayId) external view returns (Gateway memory);

    /// @notice The gateway's key and tenant, or a revert if it is unknown or was not valid at `eventMs`.
    function keyAt(bytes32 gatewayId, uint64 eventMs)
        external
        view
        returns (bytes32 tenant, uint256 x, uint256 y);

    /// @notice The newest certificate of a channel that was valid at `eventMs`, or a revert.
    function calibrationAt(bytes32 gatewayId, uint16 channel, uint64 eventMs)
        external
        view
        returns (Calibration memory);
}
