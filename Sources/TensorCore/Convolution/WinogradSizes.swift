import HostResources

/// The division of tiles among threads.
extension WinogradTiles {
  /// Tiles per block when each thread has its own: transformed, those of 64 channels fill half of a
  /// second-level cache.
  private static let ownTiles = 24
  /// Transformed input floats when the threads share them: many, since the kernel is recomputed for
  /// each block, but with fast tiles no more than stay in a third-level cache.
  private static func sharedCount(_ form: TileForm) -> Int {
    form == .narrow ? 9 << 20 : 5 << 20
  }

  /// Returns the tiles that a thread takes through all steps together.
  func ownSize(_ form: TileForm) -> Int {
    let share = (count + Threads.count - 1) / Threads.count
    return min(Self.ownTiles, (share + form.rows - 1) / form.rows * form.rows)
  }

  /// Returns the tiles that threads share per block.
  func sharedSize(_ tileForm: TileForm) -> Int {
    let most = max(96, Self.sharedCount(tileForm) / (form.inputPlanes * inputChannels))
    let passes = (count + most - 1) / most
    return (count + passes - 1) / max(1, passes)
  }

  /// Returns the part of a recomputed kernel that is made at a time: input channels, and panels of
  /// the output's.
  ///
  /// Few tiles reread it so soon that it should stay in a second-level cache. With many, adjacent
  /// panels read a transformed tile together, and products are accumulated less often.
  func partOfKernel(_ form: TileForm) -> (channels: Int, panels: Int) {
    if count < 96 { return (128, 32 / form.columns) }
    return (320, form == .narrow ? 4 : 1)
  }

  /// Returns a number of adjacent panels that gives the threads equal shares.
  func panelsAtOnce(_ form: TileForm, of panelCount: Int) -> Int {
    let fitting = (1...partOfKernel(form).panels).last { size in
      let groups = (panelCount + size - 1) / size
      return groups % Threads.count == 0 || groups >= 8 * Threads.count
    }
    return fitting ?? 1
  }

  /// Returns the memory of ``convolveByWinograd(_:_:bias:into:_:)``, apart from a cached kernel.
  func workingMemory(keepsKernel: Bool, _ tileForm: TileForm = .native) -> WorkingMemory {
    let padded =
      paddedChannels > outputChannels ? [batch * outputHeight * outputWidth * paddedChannels] : []
    let columns = tileForm.columns
    func planes(_ count: Int, _ tiles: Int, _ channels: Int) -> Int {
      WinogradPlanes.count(count, tiles: tiles, channels: channels)
    }
    if keepsKernel {
      let size = ownSize(tileForm)
      return WorkingMemory(
        padded,
        then: [
          .ofThreads(
            (count + size - 1) / max(1, size),
            [
              planes(form.inputPlanes, size, inputChannels), planes(form.planes, size, columns),
              inputChannels,
            ])
        ])
    }
    let size = sharedSize(tileForm)
    let panelCount = (paddedChannels + columns - 1) / columns
    let panels = panelsAtOnce(tileForm, of: panelCount)
    let channels = min(partOfKernel(tileForm).channels, inputChannels)
    return WorkingMemory(
      padded + [planes(form.inputPlanes, size, inputChannels)],
      then: [
        .ofThreads(
          (panelCount + panels - 1) / panels,
          [planes(form.planes, channels, panels * columns), planes(9, channels, panels * columns)]
            + [Int](repeating: planes(form.planes, size, columns), count: panels))
      ])
  }
}

extension WinogradWeightGradient {
  /// Returns the memory of ``run(into:)``.
  static func workingMemory(_ shape: ConvolutionShape) -> WorkingMemory {
    let tiles = WinogradTiles(shape)
    let size = tilesAtOnce(tiles)
    return WorkingMemory([
      Winograd.planes * tiles.inputChannels * tiles.outputChannels,
      WinogradPlanes.count(Winograd.planes, tiles: size, channels: tiles.inputChannels),
      WinogradPlanes.count(Winograd.planes, tiles: size, channels: tiles.outputChannels),
    ])
  }
}
