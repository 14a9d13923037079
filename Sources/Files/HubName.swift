/// Paths that look like the name of a repository on a model hub, such as `runwayml/stable-diffusion-v1-5`.
public enum HubName {
  /// Folders that people keep models and data in, which are not owners of repositories.
  private static let folders: Set = [
    "checkpoints", "ckpt", "ckpts", "data", "datasets", "lora", "loras", "model", "models",
    "pipelines",
    "runs", "weights",
  ]

  /// What to do where `path` does not exist: said where people expect a download.
  public static func remedy(_ path: String) -> String? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy(isName), !folders.contains(parts[0].lowercased()),
      PathKind(of: String(parts[0])) == nil
    else { return nil }
    return
      "nothing is downloaded: get it with `hf download \(path) --local-dir models/\(parts[1])` and "
      + "give that folder"
  }

  private static func isName(_ part: Substring) -> Bool {
    guard let first = part.first, first != ".", first != "~", first != "-" else { return false }
    return part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
  }
}
