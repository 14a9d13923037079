import Files
import Foundation
import PipelineCore

/// The bytes of an image file, or its path.
enum EncodedImage {
  case bytes([UInt8])
  case file(path: String)

  /// Interprets a text: base64, with or without a `data:...,` prefix, or the path of a file.
  ///
  /// The first bytes of JPEG, PNG and WebP files in base64 distinguish them from paths.
  ///
  /// - Throws: ``ImagePathError`` for a text that is neither, or a path that must not be followed
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

  /// Returns the bytes, reading them from the file if necessary.
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

/// The resolution of image paths in a source.
///
/// A source may come from anywhere: its paths must stay in its own folder, or in the user's root.
struct ImagePaths {
  /// The folder of the source, which relative paths start from.
  let folder: String
  /// The folder to use instead, which must contain all paths: setting `ingest.image_root`.
  let root: String?
  /// The components of the absolute path of the permitted folder, as written and with links
  /// resolved.
  private let rootParts: [[Component]]

  /// Compared bytewise, as the file system does, because a text such as `é` has two spellings.
  private typealias Component = ArraySlice<UInt8>

  /// Links in these folders are followed: the owner of the folder chose them, not the rows.
  init(source path: String, root: String?) {
    folder = OutputPath.folder(of: path)
    self.root = root
    let start = root ?? folder
    let canonical = Folders.canonical(start)
    let written = Self.resolved(Self.parts(Self.absolute(start))).map(Self.path) ?? canonical
    // If a link precedes `..`, the path as written may be that of another folder.
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
    // By names alone: a link on the way does not change what `..` refers to.
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

  /// Whether a text is words rather than a path: several lines, or several words without a file
  /// extension at the end.
  private static func isSentence(_ text: String) -> Bool {
    if text.contains(where: \.isNewline) { return true }
    guard text.contains(" "), !text.contains("/") else { return false }
    let ending = text.split(separator: ".", omittingEmptySubsequences: false).dropFirst().last
    return ending.map { $0.isEmpty || $0.count > 5 || $0.contains(" ") } ?? true
  }

  /// Returns the components with each `..` resolved; nil if they leave the starting folder.
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

  /// Returns the absolute path of these components.
  private static func path(_ parts: [Component]) -> String {
    parts.map { "/" + String(decoding: $0, as: UTF8.self) }.joined()
  }
}

/// Why a text is not a path to an image.
enum ImagePathError: ClassifiedError, CustomStringConvertible {
  case nothing
  case address(String)
  case leadsOut(String, root: String?)
  case hasBackslash(String)
  case isText(String)

  var kind: FailureKind { .input }

  /// A stable code for counting.
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
