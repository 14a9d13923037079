import Files
import Foundation
import PipelineCore

/// The bytes of an image file, or where they are.
enum EncodedImage {
  case bytes([UInt8])
  case file(path: String)

  /// What a text stands for: base64, with or without `data:...,` before it, or the path of a file.
  ///
  /// The beginnings of JPEG, PNG and WebP files in base64 tell them from paths.
  ///
  /// - Throws: ``ImagePathError`` for a text that is neither, or a path that is not followed
  init(text: String, paths: ImagePaths) throws(ImagePathError) {
    if text.hasPrefix("data:") {
      guard let comma = text.firstIndex(of: ",") else { throw ImagePathError.nothing }
      try self.init(base64: String(text[text.index(after: comma)...]))
    } else if ["/9j/", "iVBORw0KGgo", "UklGR"].contains(where: text.hasPrefix)
      || text.utf8.count > 4_096
    {
      try self.init(base64: text)
    } else {
      self = .file(path: try paths.path(text))
    }
  }

  init(base64 text: String) throws(ImagePathError) {
    guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
      throw .nothing
    }
    self = .bytes([UInt8](data))
  }
}

extension EncodedImage {
  /// No image file is larger than the largest permitted image, uncompressed.
  private static let fileByteLimit = 1 << 30

  /// The bytes, read from the file if they are in one.
  func load() throws(ImageFileError) -> [UInt8] {
    switch self {
    case .bytes(let bytes): return bytes
    case .file(let path):
      do {
        let file = try RegularFile(path: path)
        guard file.size <= Self.fileByteLimit else {
          throw ImageFileError.unreadable("\(path): \(file.size) bytes, too large for an image")
        }
        return try file.readAll()
      } catch let error as ImageFileError {
        throw error
      } catch FileError.system(_, _, ENOENT) {
        throw .missing(path: path)
      } catch {
        throw .unreadable("\(error)")
      }
    }
  }
}

/// Why the file of an image cannot be read.
enum ImageFileError: ClassifiedError, CustomStringConvertible {
  case missing(path: String)
  case unreadable(String)

  var kind: FailureKind { .input }

  var description: String {
    switch self {
    case .missing(let path): "there is no file \(path)"
    case .unreadable(let reason): reason
    }
  }
}

/// Where the paths of images lead that a source names.
///
/// A source may come from anywhere: what it names must lie in its own folder, or where the user says.
struct ImagePaths {
  /// The folder of the source, where relative paths start.
  let folder: String
  /// Where they start instead, and where all others must lead: setting `ingest.image_root`.
  let root: String?
  /// The components of the absolute path of the folder where paths may lead, as it is written and with links
  /// followed.
  private let rootParts: [[Component]]

  /// Compared by its bytes, as the system does, not as text, where `é` may be spelled in two ways.
  private typealias Component = ArraySlice<UInt8>

  /// Links in these folders are followed: whoever made the folder chose them, not the rows.
  init(source path: String, root: String?) {
    folder = OutputPath.folder(of: path)
    self.root = root
    let start = root ?? folder
    let canonical = Folders.canonical(start)
    let written = Self.resolved(Self.parts(Self.absolute(start))).map(Self.path) ?? canonical
    // Where a link stands before `..`, the path as it is written may be that of another folder.
    rootParts = Set([canonical, Folders.canonical(written) == canonical ? written : canonical])
      .map(Self.parts)
  }

  func path(_ name: String) throws(ImagePathError) -> String {
    guard !name.isEmpty, !name.utf8.contains(0) else { throw .nothing }
    if let scheme = name.range(of: "://") { throw .address(String(name[..<scheme.lowerBound])) }
    guard !Self.isSentence(name) else { throw .isText(name) }
    if name.contains("\\"), !Folders.exists("\(root ?? folder)/\(name)") {
      throw .hasBackslash(name)
    }
    // By names alone: a link on the way does not change what `..` leads to.
    let isAbsolute = name.utf8.first == UInt8(ascii: "/")
    if !isAbsolute, let inside = Self.resolved(Self.parts(name)) {
      return inside.count == Self.parts(name).count
        ? "\(root ?? folder)/\(name)" : "\(root ?? folder)\(Self.path(inside))"
    }
    let absolute = isAbsolute ? name : Self.absolute("\(folder)/\(name)")
    guard let parts = Self.resolved(Self.parts(absolute)),
      rootParts.contains(where: { parts.starts(with: $0) })
    else { throw .leadsOut(name, root: root) }
    return Self.path(parts)
  }

  /// Whether a text is words rather than a path: lines, or several words that do not end as a file's name does.
  private static func isSentence(_ text: String) -> Bool {
    if text.contains(where: \.isNewline) { return true }
    guard text.contains(" "), !text.contains("/") else { return false }
    let ending = text.split(separator: ".", omittingEmptySubsequences: false).dropFirst().last
    return ending.map { $0.isEmpty || $0.count > 5 || $0.contains(" ") } ?? true
  }

  /// Without `..` and what it takes back; nil where it leads out of where the path starts.
  private static func resolved(_ parts: [Component]) -> [Component]? {
    var resolved: [Component] = []
    for part in parts {
      guard part.elementsEqual("..".utf8) else {
        resolved.append(part)
        continue
      }
      guard resolved.popLast() != nil else { return nil }
    }
    return resolved
  }

  private static func absolute(_ path: String) -> String {
    path.utf8.first == UInt8(ascii: "/")
      ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
  }

  private static func parts(_ path: String) -> [Component] {
    Array(path.utf8).split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }
  }

  /// The absolute path of these components.
  private static func path(_ parts: [Component]) -> String {
    parts.map { "/" + String(decoding: $0, as: UTF8.self) }.joined()
  }
}

/// Why a text does not lead to an image.
enum ImagePathError: ClassifiedError, CustomStringConvertible {
  case nothing
  case address(String)
  case leadsOut(String, root: String?)
  case hasBackslash(String)
  case isText(String)

  var kind: FailureKind { .input }

  /// A stable word, to count by.
  var code: String {
    switch self {
    case .nothing, .isText: "unreadable-image"
    case .address, .leadsOut: "unsafe-path"
    case .hasBackslash: "missing-image"
    }
  }

  var description: String {
    switch self {
    case .nothing: "neither a file path nor base64"
    case .address(let scheme):
      "a URL (\(scheme.prefix(20)):), and nothing is downloaded; download or mount the images and "
        + "give their file paths"
    case .leadsOut(let name, let root?):
      "the path \"\(name.prefix(200))\" does not lead into ingest.image_root, which is \(root); set it to a "
        + "folder that contains all images"
    case .leadsOut(let name, nil):
      "the path \"\(name.prefix(200))\" \(name.hasPrefix("/") ? "is absolute" : "leads out of the source's folder")"
        + "; set ingest.image_root to the folder that contains the images"
    case .isText(let text):
      "\"\(text.prefix(60).description.printable)\" is no image but a text; are the columns swapped? Data that compares texts is not for image models"
    case .hasBackslash(let name):
      "there is no file \"\(name.prefix(200))\": its name contains a backslash (\\); write / between "
        + "folders"
    }
  }
}

extension RowRejection {
  init(_ field: RecordField, _ error: ImagePathError) {
    self.init(field, error.code, "\(error)")
  }
}
