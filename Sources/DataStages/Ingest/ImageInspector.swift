import Catalog
import Dispatch
import Files
import Foundation
import HostResources
import Imaging
import Synchronization

/// Hashes and checks images in batches.
final class ImageInspector: Sendable {
  private typealias Size = (width: Int, height: Int)

  private let check: IngestSettings.ImageCheck
  private let limits: ImageLimits
  private let keepsCopies: Bool
  private let imageRoot: String?
  /// Digests of valid images, so that a repeated one is checked only once.
  private let known = Mutex<[String: Size]>([:])
  private static let knownLimit = 200_000

  init(_ settings: IngestSettings) {
    check = settings.checkImages
    keepsCopies = settings.copyImages
    imageRoot = settings.imageRoot
    var limits = ImageLimits()
    limits.pixelCount = settings.imagePixelLimit
    self.limits = limits
  }

  struct Task {
    var image: EncodedImage
    var field: RecordField
    var column: String
    var place: (rowGroup: Int, row: Int)?
  }

  typealias Outcome = Result<RowGroupContents.Image.Content, RowRejection>

  /// Returns the properties of each image, or why it cannot be used, on all threads.
  func inspect(_ tasks: [Task]) -> [Outcome] {
    [Outcome](unsafeUninitializedCapacity: tasks.count) { buffer, initialized in
      let start = buffer.baseAddress
      parallelItems(tasks.count) { index in
        start.map { ($0 + index).initialize(to: inspect(tasks[index])) }
      }
      initialized = tasks.count
    }
  }

  private func inspect(_ task: Task) -> Outcome {
    let bytes: [UInt8]
    do {
      bytes = try task.image.load()
    } catch .missing(let path) {
      return .failure(
        .missingImage(
          task.field, path: path,
          remedy: imageRoot.map { "its path starts at ingest.image_root, which is \($0)" }
            ?? "set ingest.image_root to the folder that the paths are relative to"))
    } catch {
      return .failure(RowRejection(task.field, "missing-image", "\(error)"))
    }
    let digest = SHA256.hexDigest(of: bytes)
    do throws(ImageError) {
      let size = try size(of: bytes, digest: digest)
      return .success(
        RowGroupContents.Image.Content(
          sha256: digest, byteCount: bytes.count, width: size.width, height: size.height,
          column: task.column, place: task.place, copy: keepsCopies ? bytes : nil))
    } catch {
      return .failure(RowRejection(task.field, "unreadable-image", "\(error)"))
    }
  }

  private func size(of bytes: [UInt8], digest: String) throws(ImageError) -> Size {
    switch check {
    case .decode:
      if let size = known.withLock({ $0[digest] }) { return size }
      let header = try ImageHeader(checking: bytes, limits: limits)
      known.withLock { known in
        if known.count >= Self.knownLimit { known.removeAll() }
        known[digest] = (header.width, header.height)
      }
      return (header.width, header.height)
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

}

/// An inspection that continues while its caller does other work.
final class Inspection: Sendable {
  private let found = Mutex<[ImageInspector.Outcome]>([])
  private let end = DispatchSemaphore(value: 0)

  init(of tasks: [ImageInspector.Task], by inspector: ImageInspector) {
    let threads = Threads.count
    let inspect = { @Sendable [self] in
      let outcomes = Threads.with(count: threads) { inspector.inspect(tasks) }
      found.withLock { $0 = outcomes }
      end.signal()
    }
    if Threads.count > 1 { DispatchQueue.global().async(execute: inspect) } else { inspect() }
  }

  /// Waits for the end; may be called once.
  func outcomes() -> [ImageInspector.Outcome] {
    end.wait()
    return found.withLock { $0 }
  }
}
