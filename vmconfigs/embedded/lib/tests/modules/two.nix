{
  imports = [ ./three.nix ];
  x = [ 22 ];
}
