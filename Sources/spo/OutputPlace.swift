import CommandSyntax
import Files
import PipelineCore

/// Checks of `--out` paths: nothing else may be lost or damaged.
enum OutputPlace {
  /// - Parameters:
  ///   - ending: the extension of the written format; that of another format is rejected. Nil: any
  ///   - files: input files
  ///   - models: files or folders of models, in which nothing may be written either
  /// - Throws: ``OutputRefusal``; `FileError.unusableOutput` if no file can be written there
  static func requireFile(
    _ path: String, ending: String? = nil, besides files: [String], models: [String] = []
  ) throws {
    try require(path, besides: files, models: models)
    let folder = OutputPath.folder(of: path)
    if PathKind(of: folder) == .file {
      throw OutputRefusal(path: path, reason: "\(folder) is a file, not a folder")
    }
    _ = try OutputPath.resolved(path)
    guard let ending, let other = otherFormat(path), other != ending else { return }
    throw OutputRefusal(
      path: path, reason: "the output is a .\(ending) file, but its name ends in .\(other)")
  }

  /// Checks the same for a file or a folder, whether or not it exists.
  static func require(_ path: String, besides files: [String], models: [String] = []) throws {
    guard !path.isEmpty else { return }
    let place = Folders.canonical(path)
    for input in files + models where !input.isEmpty && PathKind(of: input) != nil {
      let real = Folders.canonical(input)
      if place == real {
        throw OutputRefusal(path: path, reason: "it is the input file")
      }
      if models.contains(input), PathKind(of: real) == .folder,
        place.hasPrefix(real == "/" ? real : real + "/")
      {
        throw OutputRefusal(path: path, reason: "it is inside \(input), which is an input")
      }
    }
    var folder = place
    while folder != "/", folder != "." {
      folder = OutputPath.folder(of: folder)
      guard Workspace(path: folder).isOurs else { continue }
      throw OutputRefusal(
        path: path,
        reason: "it is inside the workspace \(folder), which holds only files of its stages")
    }
  }

  /// Returns the extension of a name, if it is another format's and not part of a model's version
  /// number.
  private static func otherFormat(_ path: String) -> String? {
    let name = path.split(separator: "/").last ?? ""
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
    let ending = name[name.index(after: dot)...].lowercased()
    return formats.contains(ending) ? ending : nil
  }

  private static let formats: Set<String> = [
    "safetensors", "ckpt", "bin", "pt", "pth", "gguf", "onnx", "npy", "npz", "h5", "png", "jpg",
    "jpeg", "webp", "gif", "bmp", "tif", "tiff", "json", "json5", "jsonl", "ndjson", "yaml", "yml",
    "toml", "csv", "tsv", "txt", "md", "html", "parquet", "arrow", "sqlite", "db", "zip", "tar",
    "gz", "zst", "log", "pdf", "swift", "py",
  ]
}

/// Why an `--out` path is rejected.
struct OutputRefusal: ClassifiedError, CustomStringConvertible {
  let path: String
  let reason: String

  var kind: FailureKind { .settings }

  var description: String { "\(path): cannot write there: \(reason); choose another name" }
}

extension Arguments {
  /// All files and folders in the options of a model.
  var modelPaths: [String] {
    ["model", "vae", "tokenizer"].compactMap(optionalValue)
  }
}
