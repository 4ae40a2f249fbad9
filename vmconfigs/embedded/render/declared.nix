# Options that the configuration itself declares, with their values; and those
# it sets in vain.
{
  options,
  lib,
  isDeclaredByUser,
  definitionsOfUser,
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

  # Options that say of themselves that a guest has no use for them. What they are
  # set to is looked at all the same: NixOS would, and find what is wrong with it.
  isIdle =
    option:
    lib.hasPrefix "Accepted; " (toString (option.description or ""))
    && definitionsOfUser option != [ ]
    && builtins.deepSeq (plain option.value) true;

  walk =
    visit: path: tree:
    if lib.isOption tree then
      visit (lib.showOption path) tree
    else if lib.isAttrs tree then
      lib.concatLists (
        lib.mapAttrsToList (name: walk visit (path ++ [ name ])) (removeAttrs tree [ "_module" ])
      )
    else
      [ ];
in
{
  declared = lib.listToAttrs (
    walk (path: option: lib.optional (isShown option) (lib.nameValuePair path (plain option.value))) [
    ] options
  );

  # What the configuration says and this guest takes without doing anything.
  withoutEffect = walk (path: option: lib.optional (isIdle option) path) [ ] options;
}
