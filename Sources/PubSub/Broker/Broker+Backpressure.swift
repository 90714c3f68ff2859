/// Publishers wait while a subscriber is behind: ``BrokerConfiguration/pausesPublishers``.
///
/// A channel is paused from the moment a first subscriber falls behind until none is any more. That is decided, and
/// reported, at once. Telling the publishers follows, one after the other, and looks anew at what was decided before each:
/// whatever a peer does meanwhile, in the end every publisher was told last what holds.
extension Broker {
    /// A delivery was answered `backlogged`.
    ///
    /// - Parameter drains: What ``SubscriberList/member(at:)`` said before the send.
    @usableFromInline
    func fallBehind(_ peer: P, at position: Int, of channel: Channel<P>, drains: UInt32) {
        guard configuration.pausesPublishers, channel.subscribers.fallBehind(at: position, drains: drains),
            !channel.isPaused
        else { return }
        channel.isPaused = true
        statistics.publisherPauses += 1
        emit(.publishersPaused(channel.name, behind: peer))
        tellPublishers(of: channel)
    }

    /// A subscriber has room again. One that was not behind, or has left, changes nothing.
    func drained(_ membership: Membership<P>) {
        membership.channel.subscribers.catchUp(membership.id)
        resumeIfNobodyIsBehind(on: membership.channel)
    }

    /// To be called whenever a subscriber has caught up or is gone.
    func resumeIfNobodyIsBehind(on channel: Channel<P>) {
        guard channel.isPaused, channel.subscribers.behindCount == 0 else { return }
        channel.isPaused = false
        emit(.publishersResumed(channel.name))
        tellPublishers(of: channel)
    }

    /// Pauses or resumes each publisher that was told otherwise before.
    func tellPublishers(of channel: Channel<P>) {
        // A peer that is being told has changed things: the loop that tells it goes on with what holds now.
        guard !channel.isTellingPublishers else { return }
        channel.isTellingPublishers = true
        var pauses = channel.isPaused
        while let peer = channel.publishers.next(toPause: pauses) {
            if pauses { peer.pauseReading() } else { peer.resumeReading() }
            pauses = channel.isPaused
        }
        channel.isTellingPublishers = false
    }
}
