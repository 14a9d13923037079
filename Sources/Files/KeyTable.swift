/// The positions of keys in a list: an open-addressing hash table next to the list.
///
/// Unlike a `Dictionary` it compares keys bytewise, keeps their hashes, so that growing needs no
/// hashing, and holds no second reference to them. A short list is searched linearly.
struct KeyTable: Sendable {
  /// The hash of each key, in the order of the list.
  private var hashes: [Int] = []
  /// Positions in the list, or `empty`; a power of two, at most half full.
  private var slots: [Int32] = []
  private static let empty: Int32 = -1
  private static let searchedLinearly = 8

  /// Returns the position of `key` in `keys`, the list that the table belongs to.
  func find(_ key: String, _ keys: [String]) -> Int? {
    guard !slots.isEmpty else { return keys.firstIndex { Self.areEqual($0, key) } }
    let hash = Self.hash(of: key)
    let position = slots[slot(of: key, hash, keys)]
    return position == Self.empty ? nil : Int(position)
  }

  /// Records that `key` is about to be appended to `keys`; false if it exists already.
  mutating func insert(_ key: String, _ keys: [String]) -> Bool {
    let hash = Self.hash(of: key)
    if slots.isEmpty {
      guard find(key, keys) == nil else { return false }
    } else {
      let slot = slot(of: key, hash, keys)
      guard slots[slot] == Self.empty else { return false }
      slots[slot] = Int32(hashes.count)
    }
    hashes.append(hash)
    if hashes.count > max(Self.searchedLinearly, slots.count / 2) { grow() }
    return true
  }

  /// Returns the slot of `key`, or the empty one where it belongs.
  private func slot(of key: String, _ hash: Int, _ keys: [String]) -> Int {
    var slot = hash & (slots.count - 1)
    while slots[slot] != Self.empty {
      let position = Int(slots[slot])
      if hashes[position] == hash, Self.areEqual(keys[position], key) { break }
      slot = (slot + 1) & (slots.count - 1)
    }
    return slot
  }

  private mutating func grow() {
    slots = Array(repeating: Self.empty, count: max(32, 2 * slots.count))
    for (position, hash) in hashes.enumerated() {
      var slot = hash & (slots.count - 1)
      while slots[slot] != Self.empty { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = Int32(position)
    }
  }

  private static func areEqual(_ a: String, _ b: String) -> Bool {
    a.utf8.count == b.utf8.count && a.utf8.elementsEqual(b.utf8)
  }

  /// Seeded per process, so that no file can provoke collisions.
  private static func hash(of key: String) -> Int {
    var hasher = Hasher()
    var key = key
    key.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    return hasher.finalize()
  }
}
