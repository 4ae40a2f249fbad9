{
  imports = [
    ./two.nix
    ./three.nix
  ];
  x = [ 11 ];
}
