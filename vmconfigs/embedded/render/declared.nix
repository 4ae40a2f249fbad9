# Options that the configuration itself declares, with their values.
{
  options,
  lib,
  isDeclaredByUser,
  ...
}:
let
  # Any value as JSON can have it.
  plain =
    value:
    if lib.isFunction value then
      "<function>"
    else if builtins.isPath value then
      toString value
    else if lib.isList value then
      map plain value
    else if !lib.isAttrs value then
      value
    else if value ? outPath then
      toString value.outPath
    else if value ? __toString then
      toString value
    else
      lib.mapAttrs (_: plain) value;

  isShown = option: (option.visible or true) != false && isDeclaredByUser option;

  walk =
    path: tree:
    if lib.isOption tree then
      lib.optional (isShown tree) (lib.nameValuePair (lib.showOption path) (plain tree.value))
    else if lib.isAttrs tree then
      lib.concatLists (
        lib.mapAttrsToList (name: walk (path ++ [ name ])) (removeAttrs tree [ "_module" ])
      )
    else
      [ ];
in
{
  declared = lib.listToAttrs (walk [ ] options);
}
