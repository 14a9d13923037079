import Catalog
import Files
import HostResources
import Imaging
import PipelineCore

/// The appearance of a catalog's images: their formats, and which are near duplicates.
final class ImageLooks {
  /// The hashes by image index; nil if the bytes are unknown or cannot be decoded.
  private(set) var hashes: [PerceptualHash?]
  private(set) var formats: [String: Int] = [:]
  /// The near duplicates of each image, by index.
  private var near: [Int: [Int]] = [:]
  /// Whether some images were compared with only a part of the others.
  private(set) var isPartial = false

  private static let batch = 64
  /// The number of images in one band that each is compared with; larger bands hold nearly
  /// identical images, such as blank ones.
  private static let bandLimit = 500

  /// - Parameter observe: called with the number of finished images; a throw aborts
  init(
    _ data: AuditedData, _ catalog: CatalogDatabase, observe: (Int) throws -> Void
  ) throws {
    hashes = Array(repeating: nil, count: data.images.count)
    let numbers = Dictionary(
      uniqueKeysWithValues: data.images.enumerated().map { ($0.element.id, $0.offset) })
    let source = ImageSource(catalog)
    var pending: [(number: Int, bytes: [UInt8])] = []
    var done = 0
    func finish() throws {
      look(at: pending)
      done += pending.count
      pending.removeAll(keepingCapacity: true)
      try observe(done)
    }
    try catalog.forEachImage { image in
      guard let number = numbers[image.id] else { return }
      pending.append((number, try source.bytes(of: image)))
      if pending.count == Self.batch { try finish() }
    }
    try finish()
    findNear()
  }

  /// Creates an instance without any information.
  init(without data: AuditedData) { hashes = Array(repeating: nil, count: data.images.count) }

  private typealias Look = (hash: PerceptualHash, format: ImageFormat)

  private func look(at images: [(number: Int, bytes: [UInt8])]) {
    let looks = [Look?](unsafeUninitializedCapacity: images.count) { buffer, initialized in
      let start = buffer.baseAddress
      parallelItems(images.count) { index in
        start.map { ($0 + index).initialize(to: Self.look(images[index].bytes)) }
      }
      initialized = images.count
    }
    for (image, look) in zip(images, looks) {
      guard let look else { continue }
      hashes[image.number] = look.hash
      formats[look.format.description, default: 0] += 1
    }
  }

  private static func look(_ bytes: [UInt8]) -> Look? {
    // Undecodable images were rejected, unless the settings say to read only headers.
    guard let image = try? RGBImage(decoding: bytes), let header = try? ImageHeader(bytes) else {
      return nil
    }
    return (PerceptualHash(image), header.format)
  }

  private func findNear() {
    var bands: [UInt64: [Int]] = [:]
    for (number, hash) in hashes.enumerated() {
      guard let hash else { continue }
      var compared: Set<Int> = []
      for band in hash.bands {
        let others = bands[band] ?? []
        if others.count > Self.bandLimit { isPartial = true }
        for other in others.suffix(Self.bandLimit) where compared.insert(other).inserted {
          guard let otherHash = hashes[other], hash.isNear(otherHash) else { continue }
          near[number, default: []].append(other)
          near[other, default: []].append(number)
        }
        bands[band, default: []].append(number)
      }
    }
  }

  func isNear(_ first: Int, _ second: Int) -> Bool {
    guard let one = hashes[first], let two = hashes[second] else { return false }
    return one.isNear(two)
  }

  func twins(of image: Int) -> [Int] { near[image] ?? [] }
}
