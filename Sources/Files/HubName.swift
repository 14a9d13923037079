/// Paths that look like the name of a repository on a model hub, such as `runwayml/stable-diffusion-v1-5`.
public enum HubName {
  /// Common names of model and data folders, which are not owners of repositories.
  private static let folders: Set = [
    "checkpoints", "ckpt", "ckpts", "data", "datasets", "lora", "loras", "model", "models",
    "pipelines",
    "runs", "weights",
  ]

  /// File extensions; repository names may contain a dot, too, as in `stable-diffusion-v1.5`.
  private static let endings: Set = [
    "arrow", "bin", "ckpt", "csv", "gz", "jpeg", "jpg", "json", "json5", "jsonl", "md", "ndjson",
    "parquet", "png",
    "pt", "pth", "safetensors", "tar", "tsv", "txt", "webp", "xlsx", "zip", "zst",
  ]

  /// Returns advice if `path` does not exist, for users who expect a download.
  ///
  /// - Parameter isDataset: whether a data set is expected, not a model
  public static func remedy(_ path: String, isDataset: Bool = false) -> String? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy(isName), !folders.contains(parts[0].lowercased()),
      !endings.contains(parts[1].split(separator: ".").last?.lowercased() ?? ""),
      PathKind(of: String(parts[0])) == nil
    else { return nil }
    return
      "nothing is downloaded: get it with `hf download \(isDataset ? "--repo-type dataset " : "")\(path) "
      + "--local-dir \(isDataset ? "data" : "models")/\(parts[1])` and give that folder"
  }

  private static func isName(_ part: Substring) -> Bool {
    guard let first = part.first, first != ".", first != "~", first != "-" else { return false }
    return part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
  }
}
