# gitrepository-layout(5), as far as finding out the commit needs it.
{ lib }:
let
  inherit (builtins)
    filter
    head
    isString
    match
    split
    ;
  inherit (lib.filesystem) pathIsRegularFile;
  inherit (lib.strings) fileContents hasPrefix removePrefix removeSuffix;

  absolute = base: path: if hasPrefix "/" path then path else "/${removePrefix "/" base}/${path}";

  # { value } or { error } of a reference in a .git folder.
  resolve =
    ref: folder:
    let
      file = folder + "/${ref}";
      packed = folder + "/packed-refs";
      # A worktree or submodule has a file instead of a folder.
      link = match "gitdir: (.*)" (fileContents folder);
      target = absolute (dirOf (toString folder)) (head link);
      common =
        if pathIsRegularFile "${target}/commondir" then
          absolute target (removeSuffix "/" (fileContents "${target}/commondir"))
        else
          target;
      content = fileContents file;
      symbolic = match "ref: (.*)" content;
      entries = filter (found: found != null) (
        map (match "([a-z0-9]+) ${ref}") (filter isString (split "\n" (builtins.readFile packed)))
      );
    in
    if pathIsRegularFile folder then
      if link == null then
        { error = "File contains no gitdir reference: " + toString folder; }
      else
        resolve (removePrefix "${common}/" "${target}/${ref}") common
    else if pathIsRegularFile file then
      if symbolic == null then { value = content; } else resolve (head symbolic) folder
    else if !pathIsRegularFile packed then
      { error = "Not a .git directory: " + toString folder; }
    else if entries == [ ] then
      { error = "Could not find ${ref} in ${toString packed}"; }
    else
      { value = head (head entries); };
in
{
  commitOf = resolve "HEAD";
}
