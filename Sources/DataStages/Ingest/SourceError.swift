import Files
import PipelineCore

/// Why a source cannot be read.
enum SourceError: ClassifiedError, Equatable, CustomStringConvertible {
  /// `escaped` is the pattern with its brackets escaped, if it has any.
  case noFiles(source: String, escaped: String?)
  case noFolder(source: String, folder: String)
  case emptyFolder(source: String)
  case unknownFormat(path: String)
  case missingColumns(path: String, form: DataForm, columns: [Column], present: [String])
  case sharedColumn(path: String, column: String, fields: [String])
  case unrecognized(path: String, present: [String])
  case malformed(path: String, reason: String)
  case changed(path: String)
  case changedImage(path: String)
  case missingImage(path: String)
  case gone(path: String)
  case sameImages(pairs: Int, example: String)
  case signedPreferences(path: String, column: String)
  case goneSource(path: String)
  case left(path: String, source: String, gone: [String])
  case nothingUsable(rows: Int, example: String)

  /// A column by its name in the source, and the key of `ingest.columns` that can rename it.
  struct Column: Equatable {
    var name: String
    var field: String
  }

  var kind: FailureKind { .input }

  var description: String {
    switch self {
    case .noFiles(let source, let escaped):
      "ingest.source: no file matches \"\(source)\"; relative paths start at the current folder"
        + (escaped.map {
          ", and brackets match one of several characters: for a file name with brackets write \"\($0)\""
        } ?? "")
    case .noFolder(let source, let folder):
      "ingest.source: no file matches \"\(source)\": there is no folder \(folder); "
        + (HubName.remedy(source, isDataset: true) ?? "relative paths start at the current folder")
    case .emptyFolder(let source):
      "ingest.source: the folder \"\(source)\" contains no files that end in "
        + "\(SourceFormat.endings), and no folders of images whose names begin with a rank, chosen or rejected"
    case .unknownFormat(let path):
      "\(path): the name of a source must end in \(SourceFormat.endings)"
        + (Self.conversion(of: path).map { "; \($0)" } ?? "")
    case .missingColumns(let path, let form, let columns, let present):
      "\(path): no column \(columns.map(\.name).joined(separator: ", no column ")); the file has "
        + "\(present.isEmpty ? "none" : present.joined(separator: ", ")), and format \(form.rawValue) "
        + "(\(form.meaning)) needs more; if other columns contain it, "
        + "name them in the pipeline file: ingest: { columns: { "
        + columns.map { "\($0.field): \"...\"" }.joined(separator: ", ")
        + " } }; "
        + (columns.contains { $0.field == RecordField.ranks.rawValue }
          ? "ranks count from the best, 1; scores, of which the highest is best, are preferences: \"...\"; "
          : "")
        + "if it has another format, set ingest.format"
        + (present.contains { $0.lowercased().contains("url") }
          ? "; URLs are not followed: download the images and give their file paths" : "")
        + (present.contains { $0.hasSuffix(".role") || $0.hasSuffix(".content") }
          ? "; messages of a chat are compared here, not images" : "")
    case .sharedColumn(let path, let column, let fields):
      "\(path): column \(column) is named for both images, as \(fields.joined(separator: " and "))"
    case .unrecognized(let path, let present):
      "\(path): none of its columns (\(present.isEmpty ? "it has none" : present.joined(separator: ", "))) "
        + "is known to hold a preference; name them in the pipeline file, for example ingest: { columns: { "
        + "prompt: \"...\", image_0: \"...\", image_1: \"...\", preferred: \"...\" } }, or { prompt: \"...\", "
        + "chosen: \"...\", rejected: \"...\" }, or, if it is a list of prompts, set ingest.format=prompts"
        + (present.first.map { "{[".contains($0.first ?? " ") } ?? false
          ? "; it looks like JSON, which needs a name that ends in .json or .jsonl" : "")
    case .malformed(let path, let reason): "\(path): \(reason)"
    case .changed(let path):
      "\(path): its images differ from those that were ingested; run again with --force ingest"
    case .changedImage(let path):
      "\(path): the image differs from the one that was ingested; restore it, or run again with --force ingest"
    case .missingImage(let path):
      "\(path): the image was ingested, but does not exist any more; restore it, or run again with --force "
        + "ingest, which rejects its row"
    case .goneSource(let path):
      "ingest must read \(path) again, but it does not exist any more; restore it, or name the files that are "
        + "left in ingest.source"
    case .left(let path, let source, let gone):
      "ingest.source: of what \"\(source)\" named only \(path) is left, which was not read before; to go on with "
        + "what was read, name that: ingest.source="
        + (gone.count == 1 ? gone[0] : JSON.array(gone.map { .string($0) }).text())
        + "; to read this instead, ingest.source=\(path)"
    case .gone(let path):
      "\(path): the images in it are needed, but it does not exist any more; restore it "
        + "(with ingest.copy_images=true the catalog would have them)"
    case .sameImages(let pairs, let example):
      "ingest.source: both images are the same in all \(pairs) comparisons that were looked at, such as "
        + "\(example.printable); name the columns of two different images in ingest.columns"
    case .signedPreferences(let path, let column):
      "\(path): column \(column) has only 1 and -1, which may mean the first and the second image, or an image "
        + "and a tie; write first and second, and tie where no image is preferred"
    case .nothingUsable(let rows, let example):
      "ingest: none of the \(rows) rows can be used; the first reason: \(example.printable)"
    }
  }
  /// Returns how to convert an unsupported file format to a supported one; nil if unknown.
  private static func conversion(of path: String) -> String? {
    let packed = ["gz": "gunzip", "bz2": "bunzip2", "xz": "unxz", "zst": "unzstd", "zip": "unzip"]
    let ending = path.split(separator: ".").last.map { $0.lowercased() } ?? ""
    if let program = packed[ending] { return "unpack it first: \(program) \(path)" }
    switch ending {
    case "arrow", "feather", "ipc":
      return "convert it first, for example with datasets: "
        + "Dataset.from_file(\"\(path)\").to_parquet(\"data.parquet\")"
    case "xls", "xlsx", "ods": return "export it as CSV first"
    case "tar": return "unpack it first: tar xf \(path)"
    default: return nil
    }
  }
}
