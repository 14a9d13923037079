import Catalog
import Files
import Imaging
import TensorCore

/// Hashes and checks images, many at a time.
struct ImageInspector {
  var check: IngestSettings.ImageCheck
  var limits: ImageLimits
  var keepsCopies: Bool
  /// Digests of images that were found good, so that a repeated one is decoded once.
  private var known: [String: (width: Int, height: Int)] = [:]
  private static let knownLimit = 200_000

  init(check: IngestSettings.ImageCheck, pixelLimit: Int, keepsCopies: Bool) {
    self.check = check
    self.keepsCopies = keepsCopies
    limits = ImageLimits()
    limits.pixelCount = pixelLimit
  }

  struct Task {
    var image: EncodedImage
    var field: RecordField
    var column: String
  }

  typealias Outcome = Result<RowGroupContents.Image.Content, RowFault>

  /// What each image is, or why it cannot be used; on all threads.
  mutating func inspect(_ tasks: [Task]) -> [Outcome] {
    if known.count > Self.knownLimit { known.removeAll() }
    let inspector = self
    let outcomes = [Outcome](unsafeUninitializedCapacity: tasks.count) { buffer, initialized in
      let start = buffer.baseAddress
      parallelItems(tasks.count) { index in
        start.map { ($0 + index).initialize(to: inspector.inspect(tasks[index])) }
      }
      initialized = tasks.count
    }
    for case .success(let content) in outcomes {
      known[content.sha256] = (content.width, content.height)
    }
    return outcomes
  }

  private func inspect(_ task: Task) -> Outcome {
    let bytes: [UInt8]
    switch task.image {
    case .bytes(let held): bytes = held
    case .file(let path):
      do {
        bytes = try Self.read(path)
      } catch {
        return .failure(RowFault(task.field, "missing-image", "\(error)"))
      }
    }
    let digest = SHA256.hexDigest(of: bytes)
    do throws(ImageError) {
      let size = if let found = known[digest] { found } else { try size(of: bytes) }
      return .success(
        RowGroupContents.Image.Content(
          sha256: digest, byteCount: bytes.count, width: size.width, height: size.height,
          column: task.column, copy: keepsCopies ? bytes : nil))
    } catch {
      return .failure(RowFault(task.field, "unreadable-image", "\(error)"))
    }
  }

  private func size(of bytes: [UInt8]) throws(ImageError) -> (width: Int, height: Int) {
    switch check {
    case .decode:
      let image = try RGBImage(decoding: bytes, limits: limits)
      return (image.width, image.height)
    case .header:
      let header = try ImageHeader(bytes)
      let (pixels, overflow) = header.width.multipliedReportingOverflow(by: header.height)
      guard !overflow, pixels <= limits.pixelCount else {
        throw .tooLarge(
          width: header.width, height: header.height, pixelLimit: limits.pixelCount)
      }
      return (header.width, header.height)
    }
  }

  /// No image file is larger than the largest picture is when it is not compressed.
  private static let fileByteLimit = 1 << 30

  private static func read(_ path: String) throws -> [UInt8] {
    let file = try RegularFile(path: path)
    guard file.size <= fileByteLimit else {
      throw SourceError.malformed(
        path: path, reason: "\(file.size) bytes are too many for an image")
    }
    return try file.readAll()
  }
}
