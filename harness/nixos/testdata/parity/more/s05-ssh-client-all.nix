# ssh client: everything.
{ lib, pkgs, ... }:
{
  programs.ssh = {
    startAgent = true; agentTimeout = "1h"; agentPKCS11Whitelist = "/x/*"; forwardX11 = true; setXAuthLocation = false; hostKeyAlgorithms = [ "ssh-ed25519" "ssh-rsa" ]; pubkeyAcceptedKeyTypes = [ "ssh-ed25519" ]; kexAlgorithms = [ "curve25519-sha256" ]; ciphers = [ "aes128-ctr" ]; macs = [ "hmac-sha2-256" ];
    extraConfig = "Host desk\n  User nix-builder\n"; 
    enableAskPassword = false; systemd-ssh-proxy.enable = false;
    knownHosts = { plain.publicKey = "ssh-ed25519 AAA"; named = { hostNames = [ "a" "b" ]; publicKeyFile = ./data/k.pub; }; extra = { extraHostNames = [ "1.2.3.4" ]; publicKey = "ssh-rsa BBB"; }; ca = { certAuthority = true; hostNames = [ "*.lan" ]; publicKey = "ssh-ed25519 CCC"; }; };
    knownHostsFiles = [ ./data/known ];
  };
}
