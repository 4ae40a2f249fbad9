# networking.wireless: nixos/modules/services/networking/wpa_supplicant.nix. A guest has no radio; what is said of
# one is looked at all the same.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.networking.wireless;

  accepted =
    type: default:
    mkOption {
      inherit type default;
      description = "Accepted; a guest has no radio.";
    };
  perhaps = type: accepted (types.nullOr type) null;

  # key_mgmt of wpa_supplicant.conf(5)
  protocols = lib.splitString " " "WPA-PSK WPA-EAP IEEE8021X NONE WPA-NONE FT-PSK FT-EAP FT-EAP-SHA384 WPA-PSK-SHA256 WPA-EAP-SHA256 SAE FT-SAE WPA-EAP-SUITE-B WPA-EAP-SUITE-B-192 OSEN FILS-SHA256 FILS-SHA384 FT-FILS-SHA256 FT-FILS-SHA384 OWE DPP";

  network =
    { name, ... }:
    {
      options = {
        ssid = accepted types.str name;
        bssid = perhaps types.str;
        psk = perhaps (types.strMatching "[[:print:]]{8,63}");
        pskRaw = perhaps (types.strMatching "([[:xdigit:]]{64})|(ext:[^=]+)");
        authProtocols = accepted (types.listOf (types.enum protocols)) [
          "WPA-PSK"
          "WPA-EAP"
          "SAE"
          "FT-PSK"
          "FT-EAP"
          "FT-SAE"
        ];
        auth = perhaps types.str;
        hidden = accepted types.bool false;
        priority = perhaps types.int;
        extraConfig = accepted types.str "";
      };
    };
in
{
  options.networking.wireless = {
    enable = accepted types.bool false;
    interfaces = accepted (types.listOf types.str) [ ];
    networks = accepted (types.attrsOf (types.submodule network)) { };
    iwd.enable = accepted types.bool false;
    dbusControlled = accepted types.bool (lib.length cfg.interfaces < 2);
    # It was a set once.
    userControlled = accepted (types.coercedTo types.attrs (old: old.enable or false) types.bool) false;
  };

  config = lib.mkIf cfg.enable {
    users.groups.wpa_supplicant = { };
    users.users.wpa_supplicant = {
      isSystemUser = true;
      group = "wpa_supplicant";
      description = "WPA Supplicant user";
    };
    hardware.wirelessRegulatoryDatabase = true;

    assertions =
      lib.mapAttrsToList (name: n: {
        assertion =
          lib.count (x: x != null) [
            n.psk
            n.pskRaw
            n.auth
          ] <= 1;
        message = ''options networking.wireless."${name}".{psk,pskRaw,auth} are mutually exclusive'';
      }) cfg.networks
      ++ [
        {
          assertion = lib.length cfg.interfaces > 1 -> !cfg.dbusControlled;
          message = ''
            It's not possible to run multiple wpa_supplicant instances with DBus support.
            Note: you're seeing this error because `networking.wireless.interfaces` has
            ${toString (lib.length cfg.interfaces)} entries, implying an equal number of wpa_supplicant instances.
          ''
          + lib.optionalString config.networking.networkmanager.enable ''
            You don't need to change `networking.wireless.interfaces` when using NetworkManager:
            in this case the interfaces will be configured automatically for you.
          '';
        }
      ];
  };
}
